import numpy as np
import pytest
from PIL import Image
from smooth_images import smooth

from kt_tuning.augment.resampling import (
    BORDERS,
    choose,
    interpolate,
    keeps_grid,
    to_pixels,
    window,
)
from kt_tuning.core.pictures import to_array, to_pil


def affine(seed, count, scale=1.0):
    """Turned, scaled and sheared a little, and moved."""
    rng = np.random.default_rng(seed)
    matrices = np.tile(np.eye(3), (count, 1, 1))
    matrices[:, :2, :2] = scale * (np.eye(2) + rng.uniform(-0.3, 0.3, (count, 2, 2)))
    matrices[:, :2, 2] = rng.uniform(-6, 6, (count, 2))
    return matrices


def by_pil(image, matrix, border):
    """In an image that goes on for 200 pixels on each side."""
    height, width = image.shape[:2]
    wide = window(image[None], (-200, -200, width + 200, height + 200), border)[0]
    shifted = matrix[:2].copy()
    shifted[:, 2] += 200
    moved = to_pil(wide).transform(
        (width, height), Image.Transform.AFFINE, shifted.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return to_array(moved).astype(int)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_it_is_what_pil_makes_of_it(border, channels, scale):
    """But for the last bits of the weights, and for sharp edges."""
    images = smooth(3, 20, 26, channels)
    matrices = affine(1, 3, scale)
    moved = to_pixels(interpolate(images, matrices, border), channels)
    expected = [
        by_pil(image, matrix, border) for image, matrix in zip(images, matrices, strict=True)
    ]
    difference = np.abs(moved - np.stack(expected))
    assert moved.shape == images.shape
    assert difference.mean() <= 0.2
    assert difference.max() <= 2


@pytest.mark.parametrize(
    ("border", "first"), [("wrap", 60), ("edge", 0), ("mirror", 0), ("constant", 0)]
)
def test_the_outermost_pixel_is_mixed_with_what_is_beyond_the_border(border, first):
    image = np.array([0, 40, 120], np.uint8).reshape(1, 1, 3, 1)
    half = np.eye(3)[None].copy()
    half[:, 0, 2] = -0.5
    moved = to_pixels(interpolate(image, half, border), 1)
    assert moved[0, 0, :, 0].tolist() == [first, 20, 80]


def test_whole_steps_are_exact():
    images = smooth(2, 9, 12)
    matrices = np.tile(np.eye(3), (2, 1, 1))
    matrices[1, :2] = [[-1, 0, 12], [0, 1, 2]]
    moved = to_pixels(interpolate(images, matrices, "edge"), 3)
    assert np.array_equal(moved[0], images[0])
    assert np.array_equal(moved[1, :7], images[1, 2:, ::-1])


def test_an_image_does_not_depend_on_the_others():
    images, matrices = smooth(5), affine(2, 5)
    together = interpolate(images, matrices, "mirror")
    for row in range(5):
        alone = interpolate(images[[row]], matrices[[row]], "mirror")
        assert np.array_equal(alone[0], together[row])


@pytest.mark.parametrize("border", BORDERS)
def test_no_distance_is_too_far(border):
    far = np.eye(3)[None].copy()
    far[:, :2, 2] = 1e12
    white = np.full((1, 8, 8, 3), 255, np.uint8)
    moved = to_pixels(interpolate(white, far, border), 3)
    assert np.all(moved == (0 if border == "constant" else 255))


@pytest.mark.parametrize(
    ("matrix", "keeps"),
    [
        (np.eye(3), True),
        ([[-1, 0, 7], [0, 1, -3], [0, 0, 1]], True),
        ([[0, 1, 0], [-1, 0, 8], [0, 0, 1]], True),
        ([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]], False),
        ([[2, 0, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], False),
        ([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]], False),
    ],
)
def test_which_matrices_keep_the_grid(matrix, keeps):
    assert keeps_grid(np.array([matrix], dtype=float)).tolist() == [keeps]


def test_auto_is_box_but_for_enlarged_images_and_perspectives():
    matrices = np.stack([np.eye(3)] * 3)
    matrices[1, :2, :2] *= 0.5
    matrices[2, 2, 0] = 0.001
    assert choose("auto", matrices, (100, 100)).tolist() == ["box", "bilinear", "bilinear"]
    assert choose("bicubic", matrices, (100, 100)).tolist() == ["bicubic"] * 3
    assert choose("auto", matrices, (90, 90)).tolist() == ["bilinear"] * 3


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("box", [(2, 1, 6, 9), (-5, -3, 4, 20), (9, 11, 14, 13), (-40, 0, -30, 5)])
def test_a_window_is_a_part_of_the_padded_image(border, box):
    images = smooth(2, 12, 10)
    left, top, right, bottom = box
    everywhere = np.pad(images, ((0, 0), (40, 40), (40, 40), (0, 0)), mode=BORDERS[border])
    expected = everywhere[:, top + 40 : bottom + 40, left + 40 : right + 40]
    assert np.array_equal(window(images, box, border), expected)
