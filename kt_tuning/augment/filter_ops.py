"""Operations that are PIL functions of one image.

Every function is (image, amount, parameters (k,)) -> image, for grey and RGB images.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kt_tuning.augment.op_kinds import Floats
from kt_tuning.augment.pil_images import mean_colour, to_pil


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
