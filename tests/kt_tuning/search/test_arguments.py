"""Wrong arguments are refused before anything is trained or written."""

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from tiny_models import tiny

import kt_tuning as kt
from kt_tuning.core.errors import KtTuningError

X, Y = np.zeros((6, 8, 8, 1), np.uint8), np.arange(6) % 2


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"loss": "nonsense"}, "`loss` should be one that Keras knows"),
        ({"loss": 3}, "`loss` should be one that Keras knows"),
        ({"optimizer": "nonsense"}, "`optimizer` should be one that Keras knows"),
        ({"optimizer": 3}, "`optimizer` should be one that Keras knows"),
        ({"metrics": "accuracy"}, "`metrics` should be a list"),
        ({"distribution_strategy": 3}, "`distribution_strategy` should be a"),
        ({"pruner": 3}, "pruner"),
        ({"pruner": optuna.samplers.RandomSampler()}, "pruner"),
        ({"tracker": 3}, "tracker"),
        ({"objective": None}, "`objective` should be the name of a metric"),
        ({"objective": ["val_loss", 3]}, "`objective` should be the name of a metric"),
        ({"hyperparameters": 3}, "`hyperparameters` should be a HyperParameters"),
        ({"directory": 3}, "`directory` should be a path"),
        ({"project_name": 3}, "`project_name` should be a path"),
        ({"project_name": "a\0b"}, "`project_name` should be a path"),
        ({"warm_start": 3}, "`warm_start` should be a run directory"),
        ({"warm_start": "sqlite:///none.db"}, "There is no study in sqlite:///none.db"),
    ],
)
def test_a_tuner_refuses(arguments, said):
    with pytest.raises(KtTuningError, match=said):
        kt.Tuner(tiny, **{"max_trials": 1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("photos",), {}, "not a path: load_images\\('photos'\\)"),
        (([1, 2], Y), {}, "takes arrays"),
        ((X, Y), {}, "needs validation data"),
        ((X, Y), {"validation_split": 0.0}, "needs validation data"),
        ((X, Y), {"callbacks": [keras.callbacks.Callback]}, "is a list of Keras callbacks"),
        ((X, Y), {"trial_time_limit": "x"}, "`trial_time_limit`"),
    ],
)
def test_a_search_refuses(arguments, options, said):
    tuner = kt.Tuner(tiny, max_trials=1, objective="val_accuracy")
    with pytest.raises(KtTuningError, match=said):
        tuner.search(*arguments, verbose=False, **options)


def test_a_part_of_the_images_is_refused():
    data = kt.ImageData.from_arrays(np.arange(20 * 64).reshape(20, 8, 8) % 251, np.arange(20) % 2)
    with pytest.raises(KtTuningError, match="takes a whole ImageData"):
        kt.Tuner(tiny, max_trials=1).search(data.train, verbose=False)


def test_a_configuration_is_a_dict():
    with pytest.raises(KtTuningError, match="dict of values by name"):
        kt.Tuner(tiny, max_trials=1).enqueue(3)


def test_what_keras_and_keras_tuner_take_is_taken():
    kt.Tuner(
        tiny,
        max_trials=1,
        loss=keras.losses.SparseCategoricalCrossentropy(),
        optimizer=keras.optimizers.Adam(),
        metrics=["accuracy"],
        objective=[keras_tuner.Objective("val_loss", "min"), "val_accuracy"],
        hyperparameters=keras_tuner.HyperParameters(),
    )
