import numpy as np
import pytest
from smooth_images import smooth

from kt_tuning.augment.pil_images import to_array, to_pil
from kt_tuning.augment.recolouring import (
    compose,
    recolour,
    recolour_image,
    recolour_lanes,
    retable,
)
from kt_tuning.augment.small_images import channels_of, fill


def spread(images):
    lanes = np.zeros(images.shape[:3], np.uint64)
    fill(channels_of(lanes), images)
    return lanes


def apply(matrix, pixel, mean):
    return matrix @ np.concatenate([pixel, mean, [1.0]])


def test_composition_is_one_after_the_other():
    rng = np.random.default_rng(0)
    earlier, later = rng.normal(size=(2, 1, 3, 7))
    pixels = rng.normal(size=(50, 3))
    mean = pixels.mean(axis=0)
    middle = np.array([apply(earlier[0], pixel, mean) for pixel in pixels])
    expected = [apply(later[0], pixel, middle.mean(axis=0)) for pixel in middle]
    both = compose(later, earlier)[0]
    assert np.allclose([apply(both, pixel, mean) for pixel in pixels], expected)


@pytest.mark.parametrize("shape", [(32, 32), (7, 9), (13, 2), (1, 1), (225, 225)])
def test_matrices_are_multiplied_rounded_and_clipped(shape):
    images = smooth(2, *shape)
    matrices = np.random.default_rng(1).normal(size=(2, 3, 7)) * [1, 1, 1, 0.3, 0.3, 0.3, 30]
    expected = images.astype(float)
    means = expected.mean(axis=(1, 2))
    for image, matrix, mean in zip(expected, matrices, means, strict=True):
        image[:] = image @ matrix[:, :3].T + matrix[:, 3:6] @ mean + matrix[:, 6]
    recoloured = recolour(images, matrices)
    assert np.array_equal(recolour_lanes(spread(images), matrices, 3), recoloured)
    assert np.abs(recoloured - np.clip(expected, 0, 255)).max() <= 0.51


def test_other_images_are_left_alone():
    images = smooth(3)
    retable(images, np.tile(np.arange(255, -1, -1, dtype=np.uint8), (3, 1)), np.array([1]))
    expected = smooth(3)
    expected[1] = 255 - expected[1]
    assert np.array_equal(images, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_image_is_recoloured_as_a_batch_is(channels):
    images = smooth(2, 40, 30, channels)
    matrices = np.random.default_rng(2).normal(size=(2, 3, 7)) * [1, 1, 1, 0.3, 0.3, 0.3, 30]
    one = to_array(recolour_image(to_pil(images[1]), matrices[1])).astype(int)
    both = recolour(images, matrices)
    assert np.array_equal(recolour_lanes(spread(images), matrices, channels), both)
    assert both.shape == images.shape
    assert np.abs(one - both[1]).max() <= 1


def test_the_opacity_of_one_image_is_left_alone():
    image = smooth(1, 8, 8, 4)[0]
    matrix = np.random.default_rng(2).normal(size=(3, 7))
    changed = to_array(recolour_image(to_pil(image), matrix))
    assert np.array_equal(changed[..., 3], image[..., 3])
    opaque = to_array(recolour_image(to_pil(image[..., :3]), matrix))
    assert np.array_equal(changed[..., :3], opaque)
