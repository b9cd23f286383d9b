"""Operations on colours and on neighbouring pixels.

There are three kinds of functions:

- linear ones, (amounts (n,), parameters (n, k)) -> matrices (n, 3, 7), to be multiplied with the
  column (red, green, blue, their means in the image, 1) of each pixel;
- pointwise ones, (amounts (n,), parameters (n, k)) -> tables, uint8 (n, 256);
- filters, (image, amount, parameters (k,)) -> image, by PIL for a grey or RGB image.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kt_tuning.augment.arrays import Floats, Pixels, mean_colour
from kt_tuning.core.pictures import to_pil

# ITU-R 601-2 luma, as in PIL's conversion from RGB to L.
LUMA = np.array([0.299, 0.587, 0.114])


def brightness(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to black by 1 + `amounts`."""
    return _blend(1 + amounts)


def contrast(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to the mean luminance of the image by 1 + `amounts`."""
    return _blend(1 + amounts, mean=LUMA)


def saturation(amounts: Floats, parameters: Floats) -> Floats:
    """Scale the difference to the luminance of the pixel by 1 + `amounts`."""
    return _blend(1 + amounts, pixel=LUMA)


def greyscale(amounts: Floats, parameters: Floats) -> Floats:
    """Remove the share `amounts` of the colour."""
    return saturation(-amounts, parameters)


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


def gains(amounts: Floats, parameters: Floats) -> Floats:
    """Scale each channel by a factor of its own in 1 ± `amounts`."""
    factors = 1 + amounts[:, None] * (2 * parameters - 1)
    return _linear(factors[:, :, None] * np.eye(3))


def posterise(amounts: Floats, parameters: Floats) -> Pixels:
    """Clear the lowest `amounts` bits; amounts are rounded."""
    bits = np.round(amounts).astype(int)[:, None]
    return (np.arange(256) >> bits << bits).astype(np.uint8)


def solarise(amounts: Floats, parameters: Floats) -> Pixels:
    """Invert the brightest share `amounts` of the range."""
    values = np.arange(256)
    threshold = np.round(256 * (1 - amounts))[:, None]
    return np.where(values < threshold, values, 255 - values).astype(np.uint8)


def invert(amounts: Floats, parameters: Floats) -> Pixels:
    """Invert all values."""
    return np.tile(np.arange(255, -1, -1, dtype=np.uint8), (len(amounts), 1))


def gamma(amounts: Floats, parameters: Floats) -> Pixels:
    """Raise values in [0, 1] to the power of 2 ** `amounts`."""
    powers = np.exp2(amounts)[:, None]
    return np.round(255 * (np.arange(256) / 255) ** powers).astype(np.uint8)


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


def equalise(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Equalise the histogram of each channel."""
    return ImageOps.equalize(image)


def autocontrast(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Stretch each channel so that its darkest value is 0 and its brightest 255."""
    return ImageOps.autocontrast(image)


def sharpness(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Scale the difference to a smoothed image by 1 + `amount`."""
    return ImageEnhance.Sharpness(image).enhance(1 + amount)


def blur(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Blur by a Gaussian with a standard deviation of `amount` times the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(amount * min(image.size)))


def noise(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Add Gaussian noise with a standard deviation of `amount` levels, independent by channel."""
    pixels = np.asarray(image)
    added = _generator(parameters[0]).standard_normal(pixels.shape, dtype=np.float32)
    added *= np.float32(amount)
    return Image.fromarray(np.clip(np.rint(added + pixels), 0, 255).astype(np.uint8))


def salt_and_pepper(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Set the share `amount` of the pixels to white or black, half each."""
    pixels = np.array(image)
    drawn = _generator(parameters[0]).random(pixels.shape[:2], dtype=np.float32)
    pixels[drawn < amount] = 255
    pixels[drawn < amount / 2] = 0
    return Image.fromarray(pixels)


def jpeg(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Compress as JPEG with a quality of 100 - `amount`; no change if that rounds to 100."""
    quality = 100 - round(amount)
    if quality == 100:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as compressed:
        compressed.load()
        return compressed


def cutout(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Paint a rectangle of `amount` times each side in the mean colour, around a uniform centre.

    Source: DeVries and Taylor 2017. The rectangle is clipped at the border.
    """
    if amount == 0:
        return image
    size = np.array(image.size)
    sides = np.maximum(np.round(amount * size), 1)
    start = np.floor(parameters * size) - sides // 2
    left, top = np.maximum(start, 0).astype(int).tolist()
    right, bottom = np.minimum(start + sides, size).astype(int).tolist()
    mean = mean_colour(image)
    return _painted(image, mean.resize((right - left, bottom - top)), left, top)


def erasing(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    """Paint a rectangle of `amount` times the area and of random shape in random colours.

    Source: Zhong et al. 2020, with the aspect ratio in [0.3, 1 / 0.3].
    """
    size = np.array(image.size)
    stretch = np.exp(np.log(1 / 0.3) * (2 * parameters[0] - 1))
    shares = np.sqrt(amount * np.array([stretch, 1 / stretch]))
    sides = np.round(np.minimum(shares, 1) * size)
    left, top = np.floor(parameters[1:3] * (size - sides + 1)).astype(int).tolist()
    width, height = sides.astype(int).tolist()
    if not width * height:
        return image
    shape = (height, width, len(image.getbands()))
    colours = _generator(parameters[3]).integers(0, 256, shape, dtype=np.uint8)
    return _painted(image, to_pil(colours), left, top)


def _painted(image: Image.Image, patch: Image.Image, left: int, top: int) -> Image.Image:
    """Return a copy with `patch` pasted at (left, top)."""
    painted = image.copy()
    painted.paste(patch, (left, top))
    return painted


def _generator(place: float) -> np.random.Generator:
    """Return a generator seeded with a number in [0, 1): the same number gives the same pixels."""
    return np.random.Generator(np.random.SFC64(int(place * 2**53)))
