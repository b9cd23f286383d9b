"""Deadlines, and batches that grow."""

import math
from pathlib import Path

import keras
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
from kt_tuning.trials import callbacks as module
from kt_tuning.trials.callbacks import PROBE, Deadline
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.spec import InfeasibleError


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def steps(clock, seconds, *, longest=math.inf, at=math.inf, least_epochs=5, count=PROBE, each=100):
    """An epoch's first steps, of 100; each takes so many seconds, the first one an hour."""
    state = TrainingState(0, 30, 0)
    limits = {"least_epochs": least_epochs, "longest": longest}
    made = Deadline(state, TrialSpec("0", 0, None, 30, Path(), **limits), at)
    made.set_model(keras.Sequential())
    made.set_params({"steps": each})
    clock.now = -3600.0
    made.on_epoch_begin(0)
    for batch in range(count + 1):
        clock.now = batch * seconds
        made.on_train_batch_end(batch)
    return made


def test_five_epochs_must_fit_into_the_longest_training(clock):
    steps(clock, 0.1, longest=51)
    with pytest.raises(InfeasibleError, match=r"5 epochs would take 0:50, .* more than 0:49 of it"):
        steps(clock, 0.1, longest=49)


def test_what_does_not_fit_in_stops_within_the_epoch(clock):
    # Measuring the images after an epoch of 100 s may take a fifth of that.
    made = steps(clock, 1.0, at=27, least_epochs=0, count=7)
    assert made.is_cut
    assert made.model.stop_training
    assert made._state.message == "cut short by the time limit after 8 steps"
    made._state.done = 1
    made.epoch_ended(10.0)
    assert made._state.epochs == 1


def test_the_last_step_of_an_epoch_cuts_nothing_short(clock):
    assert not steps(clock, 1.0, at=8, least_epochs=0, count=7, each=8).is_cut
    assert steps(clock, 1.0, at=7, least_epochs=0, count=7, each=8).is_cut


def test_what_cannot_be_measured_in_time_is_given_up_if_there_is_another_model(clock):
    # An hour and a second are over after the second step, and measuring takes 20 s more.
    clock.now = -3600.0
    assert steps(clock, 1.0, at=1, least_epochs=0, count=1).is_cut
    clock.now = -3600.0
    assert steps(clock, 1.0, at=1, least_epochs=5, count=1).is_cut
    # A tenth of the time is 10 s.
    clock.now = -99.0
    with pytest.raises(InfeasibleError, match="not one epoch fits into 1:40"):
        steps(clock, 1.0, at=1, least_epochs=5, count=1)


def test_what_is_hopeless_is_seen_at_the_second_step(clock):
    steps(clock, 0.1, longest=49, count=PROBE - 1)
    with pytest.raises(InfeasibleError):
        steps(clock, 0.1 * PROBE, longest=49, count=1)


def test_a_trial_that_is_worth_any_time_is_not_given_up(clock):
    steps(clock, 100.0, longest=1, at=2000, least_epochs=0)


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
        seed=3,
        directory=directory,
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
