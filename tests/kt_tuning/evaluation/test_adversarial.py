"""Attacks on a model whose gradient is known."""

import keras
import numpy as np
import pytest
from keras import layers

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation import adversarial_accuracy, attack
from kt_tuning.evaluation.robustness import ATTACKS


@pytest.fixture(scope="module")
def model():
    """Class 1 if the left half is brighter than the right one."""
    pixels = keras.Input((4, 4, 1), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(pixels))
    logits = layers.Dense(2, use_bias=False, name="logits")(x)
    built = keras.Model(pixels, layers.Activation("softmax")(logits))
    sides = np.tile([1.0, 1.0, -1.0, -1.0], 4)
    built.get_layer("logits").set_weights([np.stack([-sides, sides], axis=1)])
    return built


@pytest.fixture
def split():
    """Left halves that are 3, 6, 12 and 40 brighter, and as many that are darker."""
    steps = np.array([3, 6, 12, 40])
    images = np.full((8, 4, 4, 1), 100, np.uint8)
    images[:4, :, :2] += steps.astype(np.uint8)[:, None, None, None]
    images[4:, :, 2:] += steps.astype(np.uint8)[:, None, None, None]
    return images, np.repeat([1, 0], 4)


def test_fgsm_by_hand(model, split):
    images, labels = split
    got = attack(model, images, labels, name="fgsm", epsilon=5)
    expected = images.astype(int)
    expected[:4, :, :2] -= 5
    expected[:4, :, 2:] += 5
    expected[4:, :, :2] += 5
    expected[4:, :, 2:] -= 5
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("epsilon", [1, 2.5, 8])
def test_no_pixel_is_changed_by_more(model, split, name, epsilon):
    images, labels = split
    images = images.copy()
    images[0], images[5] = 255, 0
    got = attack(model, images, labels, name=name, epsilon=epsilon)
    assert got.dtype == np.uint8
    difference = np.abs(got.astype(int) - images)
    assert 0 < difference.max() <= epsilon


@pytest.mark.parametrize("name", ATTACKS)
def test_accuracy_falls_where_epsilon_closes_the_gap(model, split, name):
    # A gap of 2 epsilon is closed: 3 by 2, 6 by 4 and 12 by 8, but not 40.
    found = adversarial_accuracy(model, *split, attacks=[name], epsilons=(1, 2, 4, 8))
    assert found == {name: {1.0: 1.0, 2.0: 0.75, 4.0: 0.5, 8.0: 0.25}}


def test_same_seed_same_images(model, split):
    first, again = (attack(model, *split, epsilon=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_model_without_gradient(split):
    pixels = keras.Input((4, 4, 1), dtype="uint8")
    whole = keras.ops.cast(keras.ops.cast(pixels, "int32") // 2, "float32")
    built = keras.Model(pixels, layers.Dense(2, activation="softmax")(layers.Flatten()(whole)))
    with pytest.raises(OptionError, match="No gradient reaches the pixels"):
        attack(built, *split)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"name": "cw"}, "'cw'.*fgsm, pgd"), ({"epsilon": 0.03}, r"Received: 0\.03")],
)
def test_refused(model, split, options, message):
    with pytest.raises(OptionError, match=message):
        attack(model, *split, **options)


def test_other_backends_are_refused(model, split, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="Received: KERAS_BACKEND=jax"):
        attack(model, *split)
