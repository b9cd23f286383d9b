"""Whitening of patches."""

import keras
import numpy as np
import pytest
from scipy import fft

from hypermodels.blocks import whiten

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 8, 9, 3)).astype(np.float32)


@pytest.fixture
def model():
    images = keras.Input((8, 9, 3))
    return keras.Model(images, whiten(images))


def transformed(images):
    """The cosine transform of each patch of 2×2 pixels and its channels, by SciPy."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(1, 2))
    found = fft.dctn(windows.transpose(0, 1, 2, 4, 5, 3), axes=(3, 4, 5), norm="ortho")
    return found.reshape(*found.shape[:3], -1)


def test_the_kernel_is_the_cosine_transform_of_patches(model):
    found = np.array(model.get_layer("whiten")(IMAGES))
    assert found.shape == (4, 8, 9, 12)
    assert found[:, :-1, :-1] == pytest.approx(transformed(IMAGES), abs=1e-5)


def test_smooth_images_come_out_with_equal_variances_and_little_correlation(model):
    # A random walk along rows and columns, the same in all channels but for a little noise.
    walk = RNG.normal(size=(64, 8, 9, 1)).cumsum(1).cumsum(2)
    smooth = (walk + 0.3 * RNG.normal(size=(64, 8, 9, 3))).astype(np.float32)
    for _ in range(100):
        model(smooth, training=True)
    channels = np.array(model(smooth)).reshape(-1, 12)
    assert np.std(channels, axis=0) == pytest.approx(1, abs=0.05)
    raw = np.corrcoef(smooth.reshape(-1, 3).T)
    assert raw[np.triu_indices(3, 1)].min() > 0.9
    away = np.corrcoef(channels.T)[np.triu_indices(12, 1)]
    assert np.abs(away).mean() < 0.1


def test_nothing_of_it_is_trained(model):
    assert model.trainable_variables == []


def test_it_is_saved_as_layers_of_keras(model, tmp_path):
    model(IMAGES, training=True)
    model.save(tmp_path / "white.keras")
    again = keras.models.load_model(tmp_path / "white.keras", custom_objects={})
    assert np.array_equal(np.array(again(IMAGES)), np.array(model(IMAGES)))
    assert {type(layer).__module__.split(".")[0] for layer in again.layers} == {"keras"}
