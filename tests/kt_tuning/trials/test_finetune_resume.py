"""Fine-tuning goes on after an interruption as if there had been none."""

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from keras import layers
from striped import striped_images

from hypermodels.finetune import FineTune
from kt_tuning import ImageData, Recipe
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import Decision, ImageTask, TrialSpec, run_trial

RECIPE = Recipe(batch_size=8, augment="none")


def make_task(unfreeze):
    data = ImageData.from_arrays(*striped_images(40))
    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(6, 3),
            layers.GlobalAveragePooling2D(),
        ]
    )
    hypermodel = FineTune(
        data.input_shape,
        data.classes,
        backbone=network,
        values="tf",
        dropout=0.3,
        unfreeze=unfreeze,
    )
    wrapped = RecipeHyperModel(hypermodel, RECIPE)
    return ImageTask(wrapped, data, RECIPE, objectives=["val_loss"])


def train(directory, made, *, interrupted_after=None):
    spec = TrialSpec(
        trial_id="0",
        number=0,
        hp=keras_tuner.HyperParameters(),
        epochs=4,
        seed=3,
        directory=directory,
    )
    heard = []

    def report(progress):
        heard.append(progress)
        if len(heard) == interrupted_after:
            raise KeyboardInterrupt
        return Decision.CONTINUE

    objectives = [keras_tuner.Objective("val_loss", "min")]
    return run_trial(spec, report, tasks=[made], objectives=objectives)


@pytest.mark.parametrize("unfreeze", [0.0, 0.5, 1.0])
def test_interrupted_it_ends_alike(tmp_path, unfreeze):
    whole, disturbed, task = tmp_path / "whole", tmp_path / "disturbed", make_task(unfreeze)
    for directory in (whole, disturbed):
        directory.mkdir()
    record = train(whole, task)
    for epochs in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train(disturbed, task, interrupted_after=epochs)
    resumed = train(disturbed, task)
    assert resumed.status == "COMPLETED"
    assert resumed.metrics == pytest.approx(record.metrics, rel=1e-5)
    curves = [
        pd.read_csv(directory / "history.csv").drop(columns=["seconds", "data_wait"])
        for directory in (whole, disturbed)
    ]
    pd.testing.assert_frame_equal(*curves, rtol=1e-5)
    kept = [np.load(directory / "val_predictions.npy") for directory in (whole, disturbed)]
    assert np.allclose(*kept, atol=1e-6)
