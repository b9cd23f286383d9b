"""Colour operations: 3×7 matrices and tables of 256 values, and the same by PIL.

Matrices (n, 3, 7) are multiplied with (red, green, blue, their means in the image, 1). The function
of the same name with the prefix `pil_` does the same to one grey or RGB image.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from kt_tuning.augment.op_kinds import Floats, Pixels

# ITU-R 601-2 luma, as in PIL's conversion from RGB to L.
LUMA = np.array([0.299, 0.587, 0.114])


def brightness(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to black by 1 + `amounts`."""
    return _blend(1 + amounts)


def pil_brightness(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `brightness` to one image."""
    return ImageEnhance.Brightness(image).enhance(1 + amount)


def contrast(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to the mean luminance of the image by 1 + `amounts`."""
    return _blend(1 + amounts, mean=LUMA)


def pil_contrast(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `contrast` to one image."""
    return ImageEnhance.Contrast(image).enhance(1 + amount)


def saturation(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to the luminance of the pixel by 1 + `amounts`."""
    return _blend(1 + amounts, pixel=LUMA)


def pil_saturation(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `saturation` to one image."""
    return ImageEnhance.Color(image).enhance(1 + amount)


def greyscale(amounts: Floats, parameters: Floats) -> Floats:
    """Remove the share `amounts` of the colour."""
    return saturation(-amounts, parameters)


def pil_greyscale(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `greyscale` to one image."""
    return pil_saturation(image, -amount, parameters)


def hue(amounts: Floats, parameters: Floats) -> Floats:
    """Rotate colours by `amounts` degrees about the grey axis, keeping the luminance.

    As `feColorMatrix type="hueRotate"` (W3C Filter Effects, section 9.6), with PIL's luma.
    """
    angles = np.deg2rad(amounts)[:, None, None]
    red, green, blue = LUMA
    first, third = np.array([-red, -green, 1 - blue]), np.array([red - 1, green, blue])
    second = -(red * first + blue * third) / green
    quarter_turn = np.stack([first, second, third])
    grey = np.tile(LUMA, (3, 1))
    return _linear(grey + np.cos(angles) * (np.eye(3) - grey) + np.sin(angles) * quarter_turn)


def pil_hue(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `hue` to one image."""
    return _converted(image, hue(np.array([amount]), parameters)[0])


def gains(amounts: Floats, parameters: Floats) -> Floats:
    """Scale each channel by a factor of its own in 1 ± `amounts`."""
    factors = 1 + amounts[:, None] * (2 * parameters - 1)
    return _linear(factors[:, :, None] * np.eye(3))


def pil_gains(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `gains` to one image."""
    return _converted(image, gains(np.array([amount]), parameters[None])[0])


def posterise(amounts: Floats, parameters: Floats) -> Pixels:
    """Clear the lowest `amounts` bits; amounts are rounded."""
    bits = np.round(amounts).astype(int)[:, None]
    return (np.arange(256) >> bits << bits).astype(np.uint8)


def pil_posterise(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `posterise` to one image."""
    return ImageOps.posterize(image, 8 - round(amount))


def solarise(amounts: Floats, parameters: Floats) -> Pixels:
    """Invert the brightest share `amounts` of the range."""
    values = np.arange(256)
    threshold = _threshold(amounts)[:, None]
    return np.where(values < threshold, values, 255 - values).astype(np.uint8)


def pil_solarise(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `solarise` to one image."""
    return ImageOps.solarize(image, int(_threshold(np.array(amount))))


def invert(amounts: Floats, parameters: Floats) -> Pixels:
    """Invert all values."""
    return np.tile(np.arange(255, -1, -1, dtype=np.uint8), (len(amounts), 1))


def pil_invert(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `invert` to one image."""
    return ImageOps.invert(image)


def gamma(amounts: Floats, parameters: Floats) -> Pixels:
    """Raise values in [0, 1] to the power of 2 ** `amounts`."""
    powers = np.exp2(amounts)[:, None]
    return np.round(255 * (np.arange(256) / 255) ** powers).astype(np.uint8)


def pil_gamma(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Do the same as `gamma` to one image."""
    return image.point(gamma(np.array([amount]), parameters)[0].tolist() * len(image.getbands()))


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
    """Extend matrices (n, 3, 3) to (n, 3, 7) with zeros for the means and the constant."""
    return np.concatenate([matrices, np.zeros((len(matrices), 3, 4))], axis=2)


def _threshold(amounts: Floats) -> Floats:
    return np.round(256 * (1 - amounts))


def _converted(image: Image.Image, matrix: Floats) -> Image.Image:
    """Apply the linear part of a matrix (3, 7)."""
    twelve = np.concatenate([matrix[:, :3], np.zeros((3, 1))], axis=1).ravel().tolist()
    return image.convert("RGB").convert("RGB", tuple(twelve)).convert(image.mode)
