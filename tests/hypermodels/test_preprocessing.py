"""Images become what a pre-trained network was trained on."""

import sys

import keras
import numpy as np
import pytest

from hypermodels.named_backbone import NamedBackbone, application_names
from hypermodels.preprocessing import fit_pixels, rescale_values

MODULES = {getattr(keras.applications, name).__module__: name for name in application_names()}


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def takes(*shape, dtype="float32"):
    """A model whose input has this shape, and which returns it."""
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def fitted(images, model, height, width):
    inputs = keras.Input(images.shape[1:], dtype="uint8")
    outputs = model(fit_pixels(inputs, model, height, width))
    return keras.Model(inputs, outputs).predict_on_batch(images)


@pytest.mark.parametrize("name", MODULES.values(), ids=str)
def test_values_are_those_of_keras_applications(name):
    module = sys.modules[getattr(keras.applications, name).__module__]
    images = pixels(2, 5, 6, 3).astype("float32")
    ours = rescale_values(images, NamedBackbone(name, None).values)
    assert np.allclose(ours, module.preprocess_input(images.copy()), atol=2e-4)


@pytest.mark.parametrize("values", ["raw", "tf", "torch", "caffe"])
def test_every_kind_is_saved_with_the_model(values, tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, rescale_values(inputs, values))
    model.save(tmp_path / "model.keras")
    images = pixels(2, 4, 4, 3).astype("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.predict_on_batch(images) == model.predict_on_batch(images)).all()


def test_images_of_the_right_size_are_left_as_they_are():
    images = pixels(2, 8, 8, 3)
    assert (fitted(images, takes(8, 8, 3), 8, 8) == images).all()
    assert (fitted(images, takes(None, None, 3), 8, 8) == images).all()


def test_a_fixed_input_decides_the_size_before_what_is_wanted():
    images = pixels(1, 8, 8, 1)
    assert fitted(images, takes(12, 10, 1), 99, 99).shape == (1, 12, 10, 1)
    assert fitted(images, takes(None, None, 1), 16, 16).shape == (1, 16, 16, 1)


def test_a_shrunken_image_keeps_its_mean():
    # Without antialiasing only the second and third of four columns would be looked at.
    images = np.zeros((1, 16, 16, 1), np.uint8)
    images[:, :, ::4] = 200
    assert fitted(images, takes(4, 4, 1), 4, 4)[0, :, 1:3] == pytest.approx(50, abs=0.1)


def test_grey_becomes_three_channels_and_three_become_grey():
    grey = pixels(1, 4, 4, 1)
    assert (fitted(grey, takes(4, 4, 3), 4, 4) == grey).all()
    rgb = pixels(1, 4, 4, 3)
    # ITU-R BT.601
    expected = rgb @ np.array([0.2989, 0.587, 0.114])
    assert fitted(rgb, takes(4, 4, 1), 4, 4)[..., 0] == pytest.approx(expected, rel=1e-3)


def test_a_model_of_whole_pixels_gets_rounded_ones():
    images = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    shown = fitted(images, takes(1, 4, 1, dtype="uint8"), 1, 4)
    # Halfway between: 63.75 and 191.25
    assert shown.ravel().tolist() == [0, 64, 191, 255]


def test_channels_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match=r"images of 3 channels\. Received: images of 4;"):
        fitted(pixels(1, 4, 4, 4), takes(4, 4, 3), 4, 4)
