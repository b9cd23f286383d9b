"""What becomes of a pixel's colour: 3×7 matrices and tables of 256 values, and PIL's functions.

A matrix (n, 3, 7) is multiplied with (red, green, blue, their means in the image, 1). The function
of the same name with `pil_` before it does the same to one image, grey or RGB.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from kt_tuning.augment.op_kinds import Floats, Pixels

# ITU-R 601-2 luma, as in PIL's conversion from RGB to L.
LUMA = np.array([0.299, 0.587, 0.114])


def brightness(amounts: Floats, places: Floats) -> Floats:
    """Away from black, or towards it."""
    return _blend(1 + amounts)


def pil_brightness(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `brightness`."""
    return ImageEnhance.Brightness(image).enhance(1 + amount)


def contrast(amounts: Floats, places: Floats) -> Floats:
    """Away from the image's mean luminance, or towards it."""
    return _blend(1 + amounts, mean=LUMA)


def pil_contrast(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `contrast`."""
    return ImageEnhance.Contrast(image).enhance(1 + amount)


def saturation(amounts: Floats, places: Floats) -> Floats:
    """Away from the pixel's luminance, or towards it."""
    return _blend(1 + amounts, pixel=LUMA)


def pil_saturation(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `saturation`."""
    return ImageEnhance.Color(image).enhance(1 + amount)


def greyscale(amounts: Floats, places: Floats) -> Floats:
    """`amounts` of the colour is taken away."""
    return saturation(-amounts, places)


def pil_greyscale(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `greyscale`."""
    return pil_saturation(image, -amount, places)


def hue(amounts: Floats, places: Floats) -> Floats:
    """Turned by `amounts` degrees about the axis of greys, luminance kept.

    As `feColorMatrix type="hueRotate"` (W3C Filter Effects, section 9.6), with PIL's luma.
    """
    angles = np.deg2rad(amounts)[:, None, None]
    red, green, blue = LUMA
    first, third = np.array([-red, -green, 1 - blue]), np.array([red - 1, green, blue])
    second = -(red * first + blue * third) / green
    quarter_turn = np.stack([first, second, third])
    grey = np.tile(LUMA, (3, 1))
    return _linear(grey + np.cos(angles) * (np.eye(3) - grey) + np.sin(angles) * quarter_turn)


def pil_hue(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `hue`."""
    return _converted(image, hue(np.array([amount]), places)[0])


def gains(amounts: Floats, places: Floats) -> Floats:
    """Every channel by a factor of its own in 1 ± `amounts`."""
    factors = 1 + amounts[:, None] * (2 * places - 1)
    return _linear(factors[:, :, None] * np.eye(3))


def pil_gains(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `gains`."""
    return _converted(image, gains(np.array([amount]), places[None])[0])


def posterise(amounts: Floats, places: Floats) -> Pixels:
    """The lowest `amounts` bits, rounded, are cleared."""
    bits = np.round(amounts).astype(int)[:, None]
    return (np.arange(256) >> bits << bits).astype(np.uint8)


def pil_posterise(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `posterise`."""
    return ImageOps.posterize(image, 8 - round(amount))


def solarise(amounts: Floats, places: Floats) -> Pixels:
    """The brightest `amounts` of the range is inverted."""
    values = np.arange(256)
    threshold = _threshold(amounts)[:, None]
    return np.where(values < threshold, values, 255 - values).astype(np.uint8)


def pil_solarise(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `solarise`."""
    return ImageOps.solarize(image, int(_threshold(np.array(amount))))


def invert(amounts: Floats, places: Floats) -> Pixels:
    """Black is white."""
    return np.tile(np.arange(255, -1, -1, dtype=np.uint8), (len(amounts), 1))


def pil_invert(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `invert`."""
    return ImageOps.invert(image)


def gamma(amounts: Floats, places: Floats) -> Pixels:
    """Values in [0, 1] to the power of 2 ** `amounts`."""
    powers = np.exp2(amounts)[:, None]
    return np.round(255 * (np.arange(256) / 255) ** powers).astype(np.uint8)


def pil_gamma(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """As `gamma`."""
    return image.point(gamma(np.array([amount]), places)[0].tolist() * len(image.getbands()))


def _blend(factors: Floats, pixel: Floats | None = None, mean: Floats | None = None) -> Floats:
    """Blend as PIL's ImageEnhance: factor · colour + (1 - factor) · degenerate.

    The degenerate image is `pixel` · colour + `mean` · mean colour in all channels; black if both
    are None.
    """
    matrices = _linear(factors[:, None, None] * np.eye(3))
    rest = (1 - factors)[:, None, None]
    if pixel is not None:
        matrices[:, :, :3] += rest * pixel
    if mean is not None:
        matrices[:, :, 3:6] = rest * mean
    return matrices


def _linear(matrices: Floats) -> Floats:
    """(n, 3, 3) as (n, 3, 7): means and constant do not matter."""
    return np.concatenate([matrices, np.zeros((len(matrices), 3, 4))], axis=2)


def _threshold(amounts: Floats) -> Floats:
    return np.round(256 * (1 - amounts))


def _converted(image: Image.Image, matrix: Floats) -> Image.Image:
    """Apply the linear part of a matrix (3, 7)."""
    twelve = np.concatenate([matrix[:, :3], np.zeros((3, 1))], axis=1).ravel().tolist()
    return image.convert("RGB").convert("RGB", tuple(twelve)).convert(image.mode)
