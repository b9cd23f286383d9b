import numpy as np
import pytest
from smooth_images import smooth

from kt_tuning.augment.fused import (
    compose,
    recolour,
    recolour_image,
    recolour_levels,
    render,
    retable,
)
from kt_tuning.augment.resampling import BORDERS, INTERPOLATIONS, channels_of, fill
from kt_tuning.core.pictures import to_array, to_pil


def resample(images, matrices, border, interpolation):
    count = len(images)
    return render(
        images,
        matrices,
        np.zeros((count, 3, 7)),
        coloured=np.zeros(count, bool),
        border=border,
        interpolation=interpolation,
    )


def test_every_flip_and_turn_is_found_in_the_input():
    image = smooth(1, 9, 9)
    for linear in ([[a, 0], [0, b]] for a in (1, -1) for b in (1, -1)):
        for matrix in (linear, linear[::-1]):
            affine = np.eye(3)
            affine[:2, :2] = matrix
            affine[:2, 2] = [9 * (row.sum() < 0) for row in affine[:2, :2]]
            moved = resample(image, affine[None], "mirror", "bilinear")
            # Pixel by pixel: where its centre comes from.
            for row, column in ((0, 0), (2, 7), (8, 3)):
                x, y = affine[:2] @ [column + 0.5, row + 0.5, 1]
                assert np.array_equal(moved[0, row, column], image[0, int(y), int(x)])


def test_bicubic_overshoots_where_bilinear_does_not():
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[:, :, 4:] = 100
    half = np.eye(3)[None].copy()
    half[:, 0, 2] = 0.5
    bilinear, bicubic = (resample(image, half, "edge", name) for name in ("bilinear", "bicubic"))
    assert bilinear[0, 0, :, 0].tolist() == [0, 0, 0, 50, 100, 100, 100, 100]
    assert bicubic[0, 0].max() > 100


def test_a_horizon_inside_the_image_is_survived():
    matrix = np.eye(3)
    matrix[2, 0] = -0.2
    moved = resample(smooth(1, 8, 8), matrix[None], "mirror", "bilinear")
    assert moved.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("side", [32, 128])
def test_what_is_far_outside_is_found_or_black(border, side):
    far = np.eye(3)[None].copy()
    far[:, :2, 2] = 2 * side + 0.5
    images = np.full((1, side, side, 3), 200, np.uint8)
    moved = resample(images, far, border, "bilinear")
    expected = 0 if border == "constant" else 200
    assert np.abs(moved.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("side", [32, 128])
def test_box_is_the_mean_of_four_nearest_samples(side):
    image = smooth(1, side, side)
    angle = np.deg2rad(20)
    turned = np.array([[np.cos(angle), -np.sin(angle), 6.0], [np.sin(angle), np.cos(angle), -3.0]])
    matrix = np.concatenate([turned, [[0, 0, 1]]])[None]
    moved = resample(image, matrix, "mirror", "box")[0].astype(int)
    for row, column in ((side // 2, side // 2), (side // 3, side // 2), (side // 2, side // 4)):
        samples = []
        for down, right in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
            x, y = turned @ [column + right, row + down, 1]
            samples.append(image[0, int(y), int(x)].astype(int))
        assert np.abs(moved[row, column] - np.mean(samples, axis=0)).max() <= 0.5


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_every_interpolation_is_near_the_exact_value(interpolation):
    """A ramp of 2 levels a pixel, turned: known everywhere."""
    rows, columns = np.mgrid[0:48, 0:48] + 0.5
    ramp = np.repeat((40.5 + 2 * columns + rows)[None, :, :, None], 3, axis=3).astype(np.uint8)
    angle = np.deg2rad(10)
    matrix = np.array(
        [[[np.cos(angle), -np.sin(angle), 4.0], [np.sin(angle), np.cos(angle), -4.0], [0, 0, 1]]]
    )
    moved = resample(ramp, matrix, "edge", interpolation)[0, 8:-8, 8:-8, 0]
    x = np.cos(angle) * columns - np.sin(angle) * rows + 4
    y = np.sin(angle) * columns + np.cos(angle) * rows - 4
    difference = np.abs(moved - (40.5 + 2 * x + y)[8:-8, 8:-8])
    assert difference.mean() <= (1.2 if interpolation == "nearest" else 0.9)


@pytest.mark.parametrize(("side", "name"), [(64, "bilinear"), (128, "box")])
def test_auto_depends_on_the_size_alone(side, name):
    turned = np.array([[[0.98, -0.2, 6.0], [0.2, 0.98, -3.0], [0, 0, 1]]])
    auto, expected = (
        resample(smooth(1, side, side), turned, "mirror", chosen) for chosen in ("auto", name)
    )
    assert np.array_equal(auto, expected)


def levels_of(images):
    lanes = np.zeros(images.shape[:3], np.uint64)
    fill(channels_of(lanes), images)
    return channels_of(lanes).astype(np.float32)


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
    assert np.array_equal(recolour_levels(levels_of(images), matrices, 3), recoloured)
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
    assert np.array_equal(recolour_levels(levels_of(images), matrices, channels), both)
    assert both.shape == images.shape
    assert np.abs(one - both[1]).max() <= 1
