"""Batches that grow, in whole trials."""

import keras_tuner
import numpy as np
import pandas as pd
import pytest
from tiny_models import tiny

from hypermodels import MLP
from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import Decision, ImageTask, TrialSpec, run_trial

OBJECTIVES = [keras_tuner.Objective("val_loss", "min")]
GROWING = Recipe(batch_size=8, max_batch_size=20, augment="none")


def net(stripes, rate):
    """Nothing random but the order; with a rate of nearly 0 its loss stalls from the start."""
    return MLP(
        stripes.input_shape,
        stripes.classes,
        stages=1,
        units=8,
        dropout=0.0,
        norm="none",
        label_smoothing=0.0,
        optimizer="sgd",
        sgd_learning_rate=rate,
        schedule="cosine",
        warmup=0.0,
    )


def train(directory, stripes, hypermodel, recipe=GROWING, *, epochs=7, stops_after=None):
    directory.mkdir(exist_ok=True)
    task = ImageTask(RecipeHyperModel(hypermodel, recipe), stripes, recipe, objectives=["val_loss"])
    spec = TrialSpec(
        trial_id="0",
        number=0,
        hp=keras_tuner.HyperParameters(),
        epochs=epochs,
        initial_epoch=0,
        origin=None,
        seed=3,
        directory=directory,
        deadline=None,
        least_epochs=0,
    )

    def report(progress):
        if progress.epoch == stops_after:
            raise KeyboardInterrupt
        return Decision.CONTINUE

    run_trial(spec, report, tasks=[task], objectives=OBJECTIVES)
    return pd.read_csv(directory / "history.csv").drop(columns=["seconds", "data_wait"])


def test_batches_are_doubled_after_two_epochs_in_vain_up_to_the_maximum(tmp_path, stripes):
    curve = train(tmp_path / "trial", stripes, net(stripes, 1e-9))
    assert list(curve["batch_size"]) == [8, 8, 8, 16, 16, 20, 20]


def test_the_learning_rate_goes_on_by_epochs(tmp_path, stripes):
    curve = train(tmp_path / "trial", stripes, net(stripes, 1e-9))
    shares = np.arange(1, 8) / 7
    expected = 1e-9 * (1 + np.cos(np.pi * shares)) / 2
    assert curve["batch_size"].nunique() == 3
    assert list(curve["learning_rate"]) == pytest.approx(list(expected), abs=1e-14)


def test_batches_stay_as_long_as_the_loss_falls(tmp_path, stripes):
    curve = train(tmp_path / "trial", stripes, net(stripes, 0.005), epochs=3)
    assert (curve["loss"].pct_change().dropna() < -0.01).all()
    assert set(curve["batch_size"]) == {8}


def test_a_resumed_training_has_the_size_that_it_had(tmp_path, stripes):
    whole = train(tmp_path / "whole", stripes, net(stripes, 1e-6))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "resumed", stripes, net(stripes, 1e-6), stops_after=3)
    resumed = train(tmp_path / "resumed", stripes, net(stripes, 1e-6))
    assert whole["batch_size"].nunique() == 3
    pd.testing.assert_frame_equal(whole, resumed, rtol=1e-5)


def test_a_model_with_a_schedule_of_its_own_keeps_it(tmp_path, stripes):
    recipe = Recipe(batch_size=8, max_batch_size=16, augment="none")
    curve = train(tmp_path / "trial", stripes, tiny, recipe, epochs=2)
    assert list(curve["batch_size"]) == [8, 8]
    assert list(curve["learning_rate"]) == pytest.approx([0.003, 0.003])


def test_a_model_that_keras_itself_must_train_is_refused(tmp_path, stripes):
    def eager(hp):
        model = tiny(hp)
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    with pytest.raises(OptionError, match=r"max_batch_size.*run_eagerly"):
        train(tmp_path / "trial", stripes, eager)
