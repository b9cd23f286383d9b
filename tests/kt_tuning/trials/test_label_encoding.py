"""Recipes that mix images need losses and metrics that take soft labels."""

import keras
import numpy as np
import pytest

from hypermodels.compiling import CrossEntropy
from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError
from kt_tuning.trials.classifiers import (
    build_metrics,
    check_soft_targets,
    example_targets,
    needs_one_hot,
    one_hot,
)


def compiled(loss="categorical_crossentropy", metrics=()):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


@pytest.mark.parametrize(
    ("soft", "expected"),
    [(False, keras.metrics.SparseCategoricalAccuracy), (True, keras.metrics.CategoricalAccuracy)],
)
def test_accuracy_goes_by_the_kind_of_labels(soft, expected):
    model = compiled(metrics=["accuracy"])
    build_metrics(model, example_targets(3, soft=soft))
    assert [type(metric) for metric in model.metrics[-1].metrics] == [expected]
    assert model.get_metrics_result()["accuracy"] == 0


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()]
)
def test_a_loss_for_integers_is_refused(loss):
    with pytest.raises(OptionError, match=r'sparse_cat.*loss="categorical_crossentropy"'):
        check_soft_targets(compiled(loss), 3)


@pytest.mark.parametrize(
    "metric", ["sparse_categorical_accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]
)
def test_a_metric_for_integers_is_refused(metric):
    with pytest.raises(OptionError, match=r'sparse_.*metrics=\["accuracy"\]'):
        check_soft_targets(compiled(metrics=["accuracy", metric]), 3)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "crossentropy", "kl_divergence"])
def test_losses_for_soft_labels_are_taken(loss):
    check_soft_targets(compiled(loss, ["accuracy", "top_k_categorical_accuracy"]), 3)


def test_a_search_says_so_before_its_first_trial(make_tuner, stripes):
    tuner = make_tuner(recipe=Recipe(mixup=(0.0, 0.4)))
    with pytest.raises(OptionError, match="leave mixup and cutmix at 0"):
        tuner.search(stripes)
    assert tuner.results().empty


def of_the_users_own(labels, predictions):
    places = keras.ops.cast(keras.ops.reshape(labels, (-1, 1)), "int32")
    return -keras.ops.log(keras.ops.take_along_axis(predictions, places, axis=1))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("categorical_crossentropy", True),
        # These take integers, and compare each output with the number of the class.
        ("mse", True),
        ("categorical_focal_crossentropy", True),
        ("kl_divergence", True),
        ("binary_crossentropy", True),
        ({"dense": "categorical_crossentropy"}, True),
        ("sparse_categorical_crossentropy", False),
        (CrossEntropy(), False),
        (of_the_users_own, False),
    ],
)
def test_a_loss_that_does_not_understand_integers_gets_probabilities(loss, expected):
    pixels = keras.Input((4,))
    model = keras.Model(pixels, keras.layers.Dense(3, "softmax", name="dense")(pixels))
    model.compile("sgd", loss)
    assert needs_one_hot(model, 3) == expected


def test_one_hot_labels_are_rows_of_the_identity():
    images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.array([2, 0])
    same, rows, weights = one_hot(images, labels, np.zeros((2, 0)), None, classes=3)
    assert same is images
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert weights is None
