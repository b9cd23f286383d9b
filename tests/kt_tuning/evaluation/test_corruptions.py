"""The corruptions: one conformance suite over the table, and what single ones do."""

import math

import numpy as np
import pytest
from PIL import Image

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import corrupt
from kt_tuning.evaluation import corruption_functions as functions
from kt_tuning.evaluation.corruptions import CORRUPTIONS, SEVERITIES

RANDOM = {"motion_blur", "snow", "fog", "elastic_transform"} | {
    name for name, row in CORRUPTIONS.items() if row.kind == "noise"
}


def scene(size=(32, 32), channels=3, count=2, seed=0):
    """Smooth images with some detail."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(30, 220, (count, 6, 6, channels)).astype(np.uint8)
    images = [
        np.stack(
            [
                np.asarray(Image.fromarray(one[..., c]).resize((width, height), Image.BICUBIC))
                for c in range(channels)
            ],
            axis=-1,
        )
        for one in coarse
    ]
    return np.stack(images)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(
    ("size", "channels"), [((32, 32), 3), ((8, 8), 1), ((20, 28), 3), ((64, 48), 1)]
)
def test_shape_and_kind_stay(name, size, channels):
    images = scene(size, channels)
    before = images.copy()
    for severity in (1, 5):
        got = corrupt(images, name, severity)
        assert got.shape == images.shape
        assert got.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_harm_grows_with_the_severity(name):
    # Mean squared distance; elastic severities are of different kinds, and do not.
    images = scene(count=6)
    harm = [
        np.square(corrupt(images, name, severity).astype(float) - images).mean()
        for severity in SEVERITIES
    ]
    assert harm[0] > 0
    if name != "elastic_transform":
        assert harm == sorted(harm)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_seed_same_image_whatever_the_others(name):
    images = scene(count=3)
    got = corrupt(images, name, 3, seed=1)
    np.testing.assert_array_equal(got, corrupt(images, name, 3, seed=1))
    np.testing.assert_array_equal(got[:1], corrupt(images[:1], name, 3, seed=1))
    assert (got != corrupt(images, name, 3, seed=2)).any() == (name in RANDOM)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_every_image_gets_its_own(name):
    same = np.repeat(scene(count=1), 2, axis=0)
    first, second = corrupt(same, name, 3)
    assert (first != second).any()


@pytest.mark.parametrize(
    ("side", "expected"), [(8, 0.1), (32, 0.1), (45, 0.1), (46, 0.18), (119, 0.18), (120, 0.38)]
)
def test_constants_of_the_nearest_size(side, expected):
    assert CORRUPTIONS["gaussian_noise"].constant(side, 5) == expected


def test_fifteen_corruptions_of_four_kinds():
    assert len(CORRUPTIONS) == 15
    assert {row.kind for row in CORRUPTIONS.values()} == {"noise", "blur", "weather", "digital"}


def rng():
    return np.random.default_rng(0)


GREY = np.full((100, 100, 1), 0.5)


def test_gaussian_noise_has_its_deviation():
    assert functions.gaussian_noise(GREY, 0.1, rng()).std() == pytest.approx(0.1, rel=0.03)


def test_shot_noise_is_poisson():
    got = functions.shot_noise(GREY, 50, rng())
    # Variance of a Poisson count of 25, over 50^2.
    assert got.var() == pytest.approx(25 / 50**2, rel=0.05)
    np.testing.assert_allclose(got * 50, np.rint(got * 50), atol=1e-9)


def test_impulse_noise_hits_its_share_black_or_white():
    got = functions.impulse_noise(GREY, 0.2, rng())
    assert (got == 0.0).mean() == pytest.approx(0.1, abs=0.01)
    assert (got == 1.0).mean() == pytest.approx(0.1, abs=0.01)


def test_missing_pixels_are_missing_in_all_channels():
    got = functions.missing_pixels(np.full((100, 100, 3), 0.5), 0.3, rng())
    black = (got == 0).all(axis=2)
    assert black.mean() == pytest.approx(0.3, abs=0.02)
    assert (got[~black] == 0.5).all()


def dot(size=31):
    image = np.zeros((size, size, 1))
    image[size // 2, size // 2] = 1.0
    return image


@pytest.mark.parametrize("lens", [(0.3, 0.4), (1.5, 0.1), (3.0, 0.1), (10.0, 0.5)])
def test_defocus_spreads_a_dot_into_a_disc(lens):
    got = functions.defocus_blur(dot(41), lens, rng())[..., 0]
    assert got.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(got, got.T)
    np.testing.assert_allclose(got, got[::-1])
    # A disc of radius r covers about pi r^2 pixels, at least its centre.
    assert (got > got.max() / 2).sum() == pytest.approx(max(1, math.pi * lens[0] ** 2), rel=0.35)


def test_motion_smears_a_dot_along_its_line():
    got = functions.smear(dot(), 3, 2.0, angle=0.0)[..., 0]
    # Images moved by 0 to 6 pixels: the dot appears to the left, ever weaker.
    row = got[15]
    assert got.sum() == pytest.approx(1.0) == row.sum()
    np.testing.assert_array_equal(np.flatnonzero(row), np.arange(9, 16))
    assert row[14] / row[15] == pytest.approx(math.exp(-1 / 8))
    upright = functions.smear(dot(), 3, 2.0, angle=-90.0)[..., 0]
    np.testing.assert_array_equal(np.flatnonzero(upright[:, 15]), np.arange(15, 22))


def test_enlarging_keeps_the_size_and_doubles_what_is_in_the_middle():
    image = np.zeros((32, 32, 1))
    image[12:20, 12:20] = 1.0
    got = functions.enlarge(image, 2.0)
    assert got.shape == image.shape
    assert got.sum() == pytest.approx(4 * image.sum(), rel=0.15)
    np.testing.assert_allclose(functions.enlarge(image, 1.0), image, atol=1e-12)


def test_brightness_raises_the_value_and_keeps_the_hue():
    image = np.array([[[0.4, 0.2, 0.1], [0.0, 0.0, 0.0], [1.0, 0.5, 0.5]]])
    got = functions.brightness(image, 0.2, rng())
    np.testing.assert_allclose(got[0], [[0.6, 0.3, 0.15], [0.2, 0.2, 0.2], [1.0, 0.5, 0.5]])


def test_fog_keeps_the_brightest_below_itself_and_lifts_black():
    image = np.zeros((32, 32, 3))
    image[:16] = 0.8
    got = functions.fog(image, (1.5, 1.75), rng())
    assert got.max() <= 0.8 + 1e-12
    assert got[16:].mean() > 0.1


def test_a_cloud_is_fractal():
    cloud = functions.cloud(64, 2.0, rng())
    assert (cloud.min(), cloud.max()) == (0.0, 1.0)
    # Neighbours are alike, and more so the faster finer detail fades.
    rough, smooth = (
        np.abs(np.diff(functions.cloud(64, decay, rng()), axis=0)).mean() for decay in (1.2, 3.0)
    )
    assert smooth < rough / 2


def test_contrast_by_hand():
    image = np.array([[[0.2], [0.6]]])
    np.testing.assert_allclose(functions.contrast(image, 0.5, rng())[0, :, 0], [0.3, 0.5])


def test_pixelate_by_hand():
    image = np.array([[0, 255], [255, 0]] * 2, dtype=float).repeat(2, axis=1)[..., None] / 255
    # Blocks of two by two average 0.5.
    got = functions.pixelate(image.repeat(2, axis=2)[..., :1], 0.5, rng())
    assert got.shape == (4, 4, 1)
    assert set(np.unique(np.rint(got * 255))) <= {127.0, 128.0}


def test_an_elastic_transform_without_stretch_is_the_image():
    image = scene(count=1)[0] / 255
    got = functions.elastic_transform(image, (0.0, 0.0, 0.0), rng())
    np.testing.assert_allclose(got, image, atol=1e-9)


def test_jpeg_is_the_jpeg_of_pillow(tmp_path):
    image = scene(count=1)[0]
    Image.fromarray(image).save(tmp_path / "one.jpg", quality=40)
    expected = np.asarray(Image.open(tmp_path / "one.jpg"))
    np.testing.assert_array_equal(corrupt(image[None], "jpeg_compression", 5)[0], expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "rain"}, OptionError, "'rain'"),
        ({"severity": 6}, OptionError, "Received: 6"),
        ({"images": np.zeros((1, 8, 8, 3))}, DataError, "float64"),
        ({"images": np.zeros((8, 8, 3), np.uint8)}, DataError, r"\(8, 8, 3\)"),
        ({"images": np.zeros((1, 8, 8, 4), np.uint8)}, DataError, r"\(1, 8, 8, 4\)"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        corrupt(**{"images": scene(), "name": "fog", "severity": 1, **arguments})
