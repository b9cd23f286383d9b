"""Features of every stage of a network, and their roots."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.stages import signed_root, with_all_stages


def network(strides):
    """Each stage is a convolution with an activation; a skip goes around the second."""
    x = inputs = keras.Input((16, 16, 3))
    for index, stride in enumerate(strides):
        x = layers.Conv2D(index + 2, 3, strides=stride, padding="same", name=f"c{index}")(x)
        x = layers.ReLU(name=f"a{index}")(x)
    x = layers.Add()([x, layers.Conv2D(len(strides) + 1, 1)(x)])
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def test_the_last_map_of_each_earlier_resolution_is_averaged_and_appended():
    plain = network((2, 1, 2, 2))
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    wanted = [plain.output, *(plain.get_layer(name).output for name in ("a1", "a2"))]
    expected = [np.asarray(part) for part in keras.Model(plain.input, wanted)(images)]
    expected[1:] = [part.mean((1, 2)) for part in expected[1:]]
    found = with_all_stages(plain)(images)
    assert np.asarray(found) == pytest.approx(np.concatenate(expected, 1), abs=1e-6)


def test_maps_of_full_size_are_left_out_and_without_others_nothing_changes():
    plain = network((1, 1, 2))
    assert with_all_stages(plain) is plain


def test_roots_keep_the_sign_and_are_about_the_square_roots():
    x = np.array([[-4.0, -1e-6, 0.0, 1.0, 9.0]], np.float32)
    found = np.asarray(signed_root(keras.ops.convert_to_tensor(x)))[0]
    assert found[2] == 0
    # (sqrt(x + 0.01) - 0.1), by hand.
    assert found[[0, 3, 4]] == pytest.approx([-1.902498, 0.904988, 2.901666], abs=1e-5)
    # The slope at 0 is 1 / 0.2.
    assert found[1] == pytest.approx(-5e-6, rel=1e-3)
