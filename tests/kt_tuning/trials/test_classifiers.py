"""Outputs and targets of classifiers are checked before the first epoch."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from hypermodels import LinearProbe
from hypermodels.compiling import CrossEntropy
from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError
from kt_tuning.trials import ImageTask
from kt_tuning.trials.classifiers import (
    build_metrics,
    check_classifier,
    check_soft_targets,
    needs_one_hot,
    one_hot,
)
from kt_tuning.trials.spec import TrialFailedError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
SPARSE = "sparse_categorical_crossentropy"


def classifier(*last, loss=SPARSE):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Flatten(), *last]
    )
    model.compile("adam", loss)
    return model


def in_a_dict():
    pixels = keras.Input((8, 8, 1))
    model = keras.Model(
        pixels, {"a": layers.Dense(3, activation="softmax")(layers.Flatten()(pixels))}
    )
    model.compile("adam", SPARSE)
    return model


class Subclassed(keras.Model):
    def call(self, pixels):
        return pixels


FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: classifier(layers.Dense(3), loss=FROM_LOGITS), "returns logits, and its loss has"),
        (lambda: classifier(layers.Dense(3)), "should return probabilities.*Softmax"),
        (
            lambda: classifier(layers.Dense(3, "sigmoid"), loss="binary_crossentropy"),
            "a sigmoid for each class.*softmax",
        ),
        # Of zeros all sigmoids are 0.5, which with two classes sum to 1.
        (
            lambda: classifier(layers.Dense(3, "sigmoid", kernel_initializer="zeros")),
            "a sigmoid for each class",
        ),
        (lambda: classifier(layers.Dense(1, "sigmoid")), r"to \(1,\), .* not one output"),
        (lambda: classifier(layers.Dense(5, "softmax")), r"to \(5,\), the data need"),
        (
            lambda: classifier(layers.Dense(3, "softmax", bias_initializer=nan)),
            "nan or infinite values before it is trained",
        ),
        (in_a_dict, "in a dict"),
        (Subclassed, r"begins with `keras.Input\(\(8, 8, 1\)\)`"),
        (lambda: keras.Sequential([layers.Flatten(), layers.Dense(3, "softmax")]), "keras.Input"),
    ],
    ids=[
        "logits",
        "linear",
        "sigmoids",
        "equal sigmoids",
        "one sigmoid",
        "width",
        "nan",
        "dict",
        "subclassed",
        "no input",
    ],
)
def test_what_returns_no_probabilities_is_refused(make, reason):
    with pytest.raises(OptionError, match=reason):
        check_classifier(make(), IMAGES, 3)


def nan(shape, dtype=None):
    return keras.ops.full(shape, float("nan"), dtype)


@pytest.mark.parametrize(
    "make",
    [
        lambda: classifier(layers.Dense(3, "softmax")),
        lambda: classifier(layers.Dense(3), layers.Softmax()),
        # What was asked for, though it learns slowly; the outputs are probabilities.
        lambda: classifier(layers.Dense(3, "softmax"), loss=FROM_LOGITS),
    ],
    ids=["softmax", "layer", "softmax twice"],
)
def test_probabilities_are_taken(make):
    check_classifier(make(), IMAGES, 3)


def test_logits_are_refused_before_the_first_epoch(make_tuner, stripes):
    tuner = make_tuner(lambda hp: classifier(layers.Dense(2), loss=FROM_LOGITS))
    with pytest.raises(OptionError, match="Softmax"):
        tuner.search(stripes)
    assert tuner.results().empty


def test_a_model_that_is_not_compiled_is_refused_before_the_first_epoch(make_tuner, stripes):
    def build(hp):
        model = classifier(layers.Dense(2, "softmax"))
        return keras.Model(model.inputs[0], model.outputs)

    tuner = make_tuner(build)
    with pytest.raises(OptionError, match="not compiled"):
        tuner.search(stripes)
    assert tuner.results().empty


def test_a_trial_that_returns_logits_fails_with_the_reason(make_tuner, stripes):
    def build(hp):
        return classifier(layers.Dense(2, hp.Choice("last", ["softmax", "linear"])))

    tuner = make_tuner(build, strategy="grid", epochs=1)
    tuner.search(stripes)
    results = tuner.results().set_index("hp/last")
    assert list(results.loc[["softmax", "linear"], "status"]) == ["COMPLETED", "FAILED"]
    assert "should return probabilities" in results.loc["linear", "message"]
    assert tuner.history()["number"].nunique() == 1


def test_predictions_of_every_epoch_are_looked_at(stripes):
    task = ImageTask(keras_tuner.HyperModel(), stripes, Recipe(), objectives=["val_loss"])
    with pytest.raises(TrialFailedError, match=r"a row summing to 1\.2"):
        task.measure(np.full((12, 2), 0.6, np.float32))


def compiled(loss="categorical_crossentropy", metrics=()):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (np.array([0]), keras.metrics.SparseCategoricalAccuracy),
        (np.full((1, 3), 1 / 3, np.float32), keras.metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_goes_by_the_kind_of_labels(targets, expected):
    model = compiled(metrics=["accuracy"])
    build_metrics(model, targets)
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


def test_what_does_not_train_on_mixed_images_needs_no_loss_for_them(make_tuner, stripes):
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3)])
    probe = LinearProbe(stripes.input_shape, 2, backbone=network, values="tf")
    tuner = make_tuner(probe, recipe=Recipe(mixup=0.2), max_trials=1)
    tuner.search(stripes, verbose=False)
    assert list(tuner.results()["status"]) == ["COMPLETED"]
