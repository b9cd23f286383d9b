"""Grad-CAM and occlusion maps."""

import keras
import numpy as np
import pytest
from keras import layers

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation import grad_cam, occlusion_map

SIZE, PATCH = 32, 16


def planted(count, seed=0):
    """Noise with a patch of stripes somewhere; their direction is the class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(100, 156, (count, SIZE, SIZE, 1)).astype(np.uint8)
    labels = np.arange(count) % 2
    corners = rng.integers(SIZE - PATCH + 1, size=(count, 2))
    stripes = np.where(np.arange(PATCH) // 2 % 2, 220, 35).astype(np.uint8)
    lying = np.broadcast_to(stripes[:, None, None], (PATCH, PATCH, 1))
    where = np.zeros((count, SIZE, SIZE), dtype=bool)
    for place, (top, left) in enumerate(corners):
        inside = (place, slice(top, top + PATCH), slice(left, left + PATCH))
        images[inside] = lying if labels[place] == 0 else lying.transpose(1, 0, 2)
        where[inside] = True
    return images, labels, where


def convolutional(seed):
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((SIZE, SIZE, 1), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    # Without biases, so that what is no stripe speaks for neither class.
    x = layers.Conv2D(8, 3, padding="same", activation="relu", use_bias=False)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", use_bias=False)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, layers.Dense(2, activation="softmax", use_bias=False)(x))


def trained(seed=0):
    model = convolutional(seed)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels, _ = planted(256, seed=1)
    model.fit(images, labels, batch_size=32, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def share_inside(maps, where):
    return (maps * where).sum() / maps.sum()


def test_the_patch_is_found(model):
    images, labels, where = planted(64, seed=2)
    assert (model.predict_on_batch(images).argmax(axis=1) == labels).mean() > 0.95
    maps = grad_cam(model, images)
    assert maps.shape == (64, SIZE, SIZE)
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1.0, rtol=1e-5)
    # A quarter of the area.
    assert share_inside(maps, where) >= 0.8


def test_an_ensemble_adds_its_members_maps(model):
    other = convolutional(5)
    pixels = keras.Input((SIZE, SIZE, 1), dtype="uint8")
    members = [
        keras.Model(one.input, one.output, name=f"member_{i}")
        for i, one in enumerate((model, other))
    ]
    shares = [
        layers.Rescaling(share)(one(pixels)) for share, one in zip((0.9, 0.1), members, strict=True)
    ]

    class Pair:
        def to_keras(self):
            return keras.Model(pixels, layers.Add()(shares))

    images, labels, where = planted(16, seed=3)
    maps = grad_cam(Pair(), images, labels)
    assert share_inside(maps, where) > 0.7
    assert np.abs(maps - grad_cam(model, images, labels)).max() > 0.01


def test_a_nested_backbone(model):
    backbone = keras.Model(model.inputs[0], model.layers[-3].output, name="backbone")
    pixels = keras.Input((SIZE, SIZE, 1), dtype="uint8")
    x = model.layers[-1](model.layers[-2](backbone(pixels)))
    images, labels, _ = planted(4)
    found = grad_cam(keras.Model(pixels, x), images, labels)
    np.testing.assert_allclose(found, grad_cam(model, images, labels), atol=1e-5)


def test_the_class_that_is_asked_about(model):
    images, labels, where = planted(16, seed=4)
    ours, theirs = (grad_cam(model, images, asked) for asked in (labels, 1 - labels))
    assert share_inside(ours, where) > share_inside(theirs, where) + 0.3
    predicted = model.predict_on_batch(images).argmax(axis=1)
    np.testing.assert_allclose(
        grad_cam(model, images), grad_cam(model, images, predicted), atol=1e-6
    )


def test_batches_are_put_together(model):
    images, labels, _ = planted(40)
    whole = grad_cam(model, images, labels)
    np.testing.assert_allclose(whole[35:], grad_cam(model, images[35:], labels[35:]), atol=1e-5)


def test_a_model_without_convolutions():
    pixels = keras.Input((4, 4, 1), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(pixels))
    plain = keras.Model(pixels, layers.Dense(2, activation="softmax")(x), name="plain")
    with pytest.raises(OptionError, match="'plain' has no convolutional feature map"):
        grad_cam(plain, np.zeros((1, 4, 4, 1), np.uint8))


def test_channels_first_is_refused(model, monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(OptionError, match="channels_first"):
        grad_cam(model, planted(1)[0])


def corner(images):
    """How bright the upper left 4 by 4 pixels are."""
    bright = images[:, :4, :4].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


@pytest.fixture
def image():
    pixels = np.zeros((12, 16, 3), dtype=np.uint8)
    pixels[:4, :4] = 255
    return pixels


def test_what_matters_is_found(image):
    got = occlusion_map(corner, image, 1, patch=4)
    assert got.shape == (12, 16)
    # Covered by the mean colour, as one square alone does: 16 of 192 pixels are white.
    assert got[0, 0] == pytest.approx(1 - round(255 * 16 / 192) / 255) == got.max()
    # Squares that begin at pixel 4 or later cover nothing of it.
    assert (got[6:] == 0).all()
    assert (got[:, 6:] == 0).all()


def test_speaking_against_a_class_is_negative(image):
    assert (occlusion_map(corner, image, 0, patch=4)[:4, :4] < 0).all()


def test_the_predicted_class_by_default(image):
    np.testing.assert_array_equal(
        occlusion_map(corner, image, patch=4), occlusion_map(corner, image, 1, patch=4)
    )


def test_every_place_is_covered_whatever_the_sizes(image):
    seen = np.zeros((12, 16), dtype=bool)

    def predict(images):
        seen[(images != image).any(axis=(0, 3))] = True
        return corner(images)

    got = occlusion_map(predict, image, patch=5)
    assert seen.all()
    assert np.isfinite(got).all()


@pytest.mark.parametrize("options", [{"patch": 13}, {"patch": 0}])
def test_squares_that_do_not_fit(image, options):
    with pytest.raises(OptionError, match="image 12 x 16"):
        occlusion_map(corner, image, **options)
