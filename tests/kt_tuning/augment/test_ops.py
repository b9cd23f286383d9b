"""Every operation against the function of PIL, or the arithmetic, that defines it."""

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps
from smooth_images import smooth

from kt_tuning.augment import OPS, Policy, Step, augment
from kt_tuning.augment.pixel_ops import LUMA

NEARLY_ONE = np.nextafter(1.0, 0.0)


def once(step, images, *numbers, **options):
    """Apply one step to all images, with the same uniform numbers for each."""
    uniforms = np.tile([0.0, *numbers], (len(images), 1))
    return augment(Policy((step,), **options), images, uniforms)


def by_pil(function, images):
    return np.stack([np.asarray(function(Image.fromarray(image))) for image in images])


def affine(*coefficients):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )


@pytest.mark.parametrize(
    ("step", "numbers", "function"),
    [
        (Step("flip"), (), ImageOps.mirror),
        (Step("vertical_flip"), (), ImageOps.flip),
        (Step("turn"), (0.1,), lambda image: image),
        (Step("turn"), (0.3,), lambda image: image.transpose(Image.Transpose.ROTATE_270)),
        (Step("turn"), (0.6,), lambda image: image.transpose(Image.Transpose.ROTATE_180)),
        (Step("turn"), (0.8,), lambda image: image.transpose(Image.Transpose.ROTATE_90)),
        (Step("posterise", 4.0), (0.75,), lambda image: ImageOps.posterize(image, 5)),
        (Step("solarise", 0.5), (0.5,), lambda image: ImageOps.solarize(image, 192)),
        (Step("invert"), (), ImageOps.invert),
        (
            Step("gamma", 1.0),
            (NEARLY_ONE,),
            lambda image: image.point([round(255 * (v / 255) ** 2) for v in range(256)] * 3),
        ),
        (Step("equalise"), (), ImageOps.equalize),
        (Step("autocontrast"), (), ImageOps.autocontrast),
        (
            Step("sharpness", 0.8),
            (NEARLY_ONE,),
            lambda image: ImageEnhance.Sharpness(image).enhance(1.8),
        ),
        (
            Step("blur", 0.1),
            (0.5,),
            lambda image: image.filter(ImageFilter.GaussianBlur(0.05 * 32)),
        ),
        # 8 of 32 pixels to the left, and to the top, over the opposite side
        (Step("translate_x", 0.25), (0.0,), lambda image: ImageChops.offset(image, -8, 0)),
        (Step("translate_y", 0.25), (0.0,), lambda image: ImageChops.offset(image, 0, -8)),
    ],
    ids=lambda value: value.op if isinstance(value, Step) else "",
)
def test_exactly_as_pil(step, numbers, function):
    images = smooth()
    result = once(step, images, *numbers, border="wrap")
    assert np.array_equal(result, by_pil(function, images))


@pytest.mark.parametrize(
    ("step", "numbers", "function"),
    [
        (Step("brightness", 0.2), (0.0,), lambda i: ImageEnhance.Brightness(i).enhance(0.8)),
        (Step("contrast", 0.4), (0.8,), lambda i: ImageEnhance.Contrast(i).enhance(1.24)),
        (Step("saturation", 0.4), (0.8,), lambda i: ImageEnhance.Color(i).enhance(1.24)),
        (Step("greyscale", 1.0), (), lambda i: ImageOps.grayscale(i).convert("RGB")),
        (
            Step("gains", 0.2),
            (0.0, 0.5, 0.75),
            lambda i: i.convert("RGB", (0.8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1.1, 0)),
        ),
    ],
    ids=lambda value: value.op if isinstance(value, Step) else "",
)
def test_colour_is_pils_but_for_rounding(step, numbers, function):
    images = smooth()
    difference = once(step, images, *numbers).astype(int) - by_pil(function, images)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("step", "numbers", "function"),
    [
        # 0.75 of ±30° is 15° clockwise; PIL counts the other way round
        (
            Step("rotate", 30.0),
            (0.75,),
            lambda image: image.rotate(-15, Image.Resampling.BILINEAR),
        ),
        # x of the input is x + 0.2 (y - 16), the middle row stays
        (Step("shear_x", 0.2), (NEARLY_ONE,), affine(1, 0.2, -3.2, 0, 1, 0)),
        (Step("shear_y", 0.2), (NEARLY_ONE,), affine(1, 0, 0, 0.2, 1, -3.2)),
        (Step("translate_x", 0.1), (0.0,), affine(1, 0, 3.2, 0, 1, 0)),
        # twice as large: the middle 16×16 pixels
        (
            Step("zoom", 1.0),
            (NEARLY_ONE,),
            lambda image: image.transform(
                image.size, Image.Transform.EXTENT, (8, 8, 24, 24), Image.Resampling.BILINEAR
            ),
        ),
        # 1 - 0.36 of the area in its own shape, 25.6 pixels a side, from the top left corner
        (
            Step("resized_crop", 0.36),
            (NEARLY_ONE, 0.5, 0.0, 0.0),
            lambda image: image.transform(
                image.size, Image.Transform.EXTENT, (0, 0, 25.6, 25.6), Image.Resampling.BILINEAR
            ),
        ),
        # the top left corner comes from (3.2, 3.2), the others stay where they are
        (
            Step("perspective", 0.1),
            (NEARLY_ONE, NEARLY_ONE, *[0.5] * 6),
            lambda image: image.transform(
                image.size,
                Image.Transform.PERSPECTIVE,
                homography([(3.2, 3.2), (32, 0), (32, 32), (0, 32)]),
                Image.Resampling.BILINEAR,
            ),
        ),
    ],
    ids=lambda value: value.op if isinstance(value, Step) else "",
)
def test_geometry_is_pils_away_from_the_border(step, numbers, function):
    images = smooth()
    difference = once(step, images, *numbers).astype(int) - by_pil(function, images)
    assert np.abs(difference[:, 8:-8, 8:-8]).max() <= 1


def homography(quad, side=32):
    """PIL's eight coefficients from the square to `quad`, by the equations that define them."""
    rows, values = [], []
    for (x, y), (u, v) in zip([(0, 0), (side, 0), (side, side), (0, side)], quad, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(rows, values).tolist()


def test_crop_shifts_whole_pixels_over_a_mirrored_border():
    images = smooth(3, 12, 16)
    # reach is 2 of 16 columns and 2 of 12 rows (0.125 · 12 rounded); 0.99 is +2, 0 is -2
    result = once(Step("crop", 0.125), images, 0.99, 0.0)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    assert np.array_equal(result, padded[:, 0:12, 4:20])


def test_hue_keeps_luminance_and_grey_and_is_undone_by_its_opposite():
    images = smooth()
    turned = once(Step("hue", 40.0), images, NEARLY_ONE)
    assert np.abs(turned @ LUMA - images @ LUMA).max() <= 1
    assert np.abs(turned.astype(int) - images).max() > 10
    back = once(Step("hue", 40.0), turned, 0.0)
    assert np.abs(back.astype(int) - images).mean() <= 6
    grey = np.repeat(images[..., :1], 3, axis=3)
    assert np.array_equal(once(Step("hue", 40.0), grey, NEARLY_ONE), grey)


def test_a_hue_of_a_third_turn_permutes_pure_colours():
    # by hand: W3C's matrix at 120° takes the red's chroma nearest to green's
    red = np.full((1, 4, 4, 3), [150, 50, 50], np.uint8)
    turned = once(Step("hue", 120.0), red, NEARLY_ONE)[0, 0, 0].astype(int)
    assert turned.argmax() == 1


def test_noise_has_the_mean_and_spread_that_were_asked_for():
    images = np.full((1, 64, 64, 3), 128, np.uint8)
    added = once(Step("noise", 20.0), images, 0.5, 0.3).astype(float) - 128
    # standard errors: 10 / sqrt(12,288) = 0.09 and 0.064
    assert abs(added.mean()) < 0.4
    assert added.std() == pytest.approx(10, abs=0.3)


def test_noise_depends_on_its_number():
    images = np.full((2, 16, 16, 3), 128, np.uint8)
    policy = Policy((Step("noise", 20.0),))
    one, other = augment(policy, images, np.array([[0, 0.5, 0.3], [0, 0.5, 0.4]]))
    assert not np.array_equal(one, other)


def test_salt_and_pepper_replace_their_share_by_white_and_black():
    images = np.full((1, 100, 100, 3), 128, np.uint8)
    result = once(Step("salt_and_pepper", 0.4), images, 0.5, 0.7)[0, :, :, 0]
    # standard error of a share of 0.1 among 10,000: 0.003
    assert (result == 255).mean() == pytest.approx(0.1, abs=0.012)
    assert (result == 0).mean() == pytest.approx(0.1, abs=0.012)


def test_jpeg_is_what_pil_writes(tmp_path):
    images = smooth()
    result = once(Step("jpeg", 50.0), images, NEARLY_ONE)
    Image.fromarray(images[1]).save(tmp_path / "50.jpg", quality=50)
    with Image.open(tmp_path / "50.jpg") as expected:
        assert np.array_equal(result[1], np.asarray(expected))


def test_cutout_puts_the_mean_into_one_square():
    images = smooth(3, 12, 16)
    result = once(Step("cutout", 0.25), images, 0.5, 0.5)
    changed = np.any(result != images, axis=(0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 7, 6, 9)
    mean = images[0].mean(axis=(0, 1))
    assert np.abs(result[0, 6, 7] - mean).max() <= 0.6


def test_erasing_fills_a_rectangle_inside_with_random_colours():
    images = np.zeros((1, 40, 40, 3), np.uint8)
    # a quarter of the area, a square (the aspect's number is 0.5), in the bottom right corner
    result = once(Step("erasing", 0.25), images, NEARLY_ONE, 0.5, NEARLY_ONE, NEARLY_ONE, 0.1)[0]
    changed = result.any(axis=2)
    assert changed[20:, 20:].mean() > 0.99
    assert changed.sum() <= 400
    assert 100 < result[20:, 20:].mean() < 155


def test_fixed_strength_is_the_magnitude_with_either_sign():
    signed, up_to = OPS["rotate"], OPS["blur"]
    numbers = np.array([[0.1], [0.9]])
    assert signed.amounts(30.0, numbers, fixed=True).tolist() == [-30, 30]
    assert signed.amounts(30.0, numbers, fixed=False) == pytest.approx([-24, 24])
    assert up_to.amounts(0.1, numbers, fixed=True).tolist() == [0.1, 0.1]
    assert up_to.amounts(0.1, numbers, fixed=False) == pytest.approx([0.01, 0.09])
