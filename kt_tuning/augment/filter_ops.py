"""Operations that only a PIL function of one image can do.

Every function is (image, amount, places (k,)) -> image, for grey and RGB images.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kt_tuning.augment.op_kinds import Floats
from kt_tuning.augment.pil_images import mean_colour, to_pil


def equalise(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """A uniform histogram, channel by channel."""
    return ImageOps.equalize(image)


def autocontrast(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """The darkest value becomes 0 and the brightest 255, channel by channel."""
    return ImageOps.autocontrast(image)


def sharpness(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """Away from a smoothed image, or towards it."""
    return ImageEnhance.Sharpness(image).enhance(1 + amount)


def blur(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """Gaussian, with a standard deviation of `amount` of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(amount * min(image.size)))


def noise(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """Gaussian, with a standard deviation of `amount` grey levels, each channel its own."""
    pixels = np.asarray(image)
    added = _generator(places[0]).standard_normal(pixels.shape, dtype=np.float32)
    added *= np.float32(amount)
    return Image.fromarray(np.clip(np.rint(added + pixels), 0, 255).astype(np.uint8))


def salt_and_pepper(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """`amount` of the pixels, half of them white, half black."""
    pixels = np.array(image)
    drawn = _generator(places[0]).random(pixels.shape[:2], dtype=np.float32)
    pixels[drawn < amount] = 255
    pixels[drawn < amount / 2] = 0
    return Image.fromarray(pixels)


def jpeg(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """Compressed to a quality of 100 - `amount`; not at all if that rounds to 100."""
    quality = 100 - round(amount)
    if quality == 100:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as compressed:
        compressed.load()
        return compressed


def cutout(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """A rectangle of `amount` of each side, in the image's mean colour, around a uniform centre.

    DeVries and Taylor 2017; what sticks out is cut off.
    """
    if amount == 0:
        return image
    size = np.array(image.size)
    sides = np.maximum(np.round(amount * size), 1)
    start = np.floor(places * size) - sides // 2
    left, top = np.maximum(start, 0).astype(int).tolist()
    right, bottom = np.minimum(start + sides, size).astype(int).tolist()
    mean = mean_colour(image)
    return _painted(image, mean.resize((right - left, bottom - top)), left, top)


def erasing(image: Image.Image, amount: float, places: Floats) -> Image.Image:
    """A rectangle of `amount` of the area and random shape, in random colours, somewhere inside.

    Zhong et al. 2020, with the aspect ratio in [0.3, 1 / 0.3].
    """
    size = np.array(image.size)
    stretch = np.exp(np.log(1 / 0.3) * (2 * places[0] - 1))
    shares = np.sqrt(amount * np.array([stretch, 1 / stretch]))
    sides = np.round(np.minimum(shares, 1) * size)
    left, top = np.floor(places[1:3] * (size - sides + 1)).astype(int).tolist()
    width, height = sides.astype(int).tolist()
    if not width * height:
        return image
    shape = (height, width, len(image.getbands()))
    colours = _generator(places[3]).integers(0, 256, shape, dtype=np.uint8)
    return _painted(image, to_pil(colours), left, top)


def _painted(image: Image.Image, patch: Image.Image, left: int, top: int) -> Image.Image:
    """A copy with `patch` on it."""
    painted = image.copy()
    painted.paste(patch, (left, top))
    return painted


def _generator(place: float) -> np.random.Generator:
    """A generator seeded with a number in [0, 1), so that the same number gives the same pixels."""
    return np.random.Generator(np.random.SFC64(int(place * 2**53)))
