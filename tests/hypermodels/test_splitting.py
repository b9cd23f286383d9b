"""A network in two parts."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.splitting import split_network


@pytest.fixture(scope="module")
def network():
    """Two residual blocks of two convolutions each between a first and a last convolution."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    for block in "ab":
        y = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"{block}1")(x)
        y = layers.Conv2D(4, 3, padding="same", name=f"{block}2")(y)
        x = layers.Add(name=f"{block}_sum")([x, y])
    x = layers.Conv2D(5, 1, name="last")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def weighted(model):
    return [layer.name for layer in model.layers if layer.weights]


@pytest.mark.parametrize(
    ("share", "first", "second"),
    [
        # Of six layers with weights.
        (1 / 6, ["first", "a1", "a2", "b1", "b2"], ["last"]),
        # Two or three are inside the second block.
        (2 / 6, ["first", "a1", "a2"], ["b1", "b2", "last"]),
        (3 / 6, ["first", "a1", "a2"], ["b1", "b2", "last"]),
        (4 / 6, ["first"], ["a1", "a2", "b1", "b2", "last"]),
    ],
)
def test_it_is_split_between_blocks(network, share, first, second):
    bottom, top = split_network(network, share)
    assert (weighted(bottom), weighted(top)) == (first, second)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    again = top.predict_on_batch(bottom.predict_on_batch(images))
    assert again == pytest.approx(network.predict_on_batch(images), abs=1e-6)


def test_one_part_may_be_empty(network):
    assert split_network(network, 0.0) == (network, None)
    assert split_network(network, 1.0) == (None, network)
