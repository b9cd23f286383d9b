"""A classifier returns one distribution an image, or is refused before it is trained."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError
from kt_tuning.trials import ImageTask
from kt_tuning.trials.classifiers import check_classifier
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
