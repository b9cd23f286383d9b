"""Types of arrays, and conversion between arrays and PIL images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.errors import OptionError

#: Images (n, height, width, channels) or one image (height, width, channels).
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
#: (n,) indices of images in a batch, ascending.
Rows = NDArray[np.intp]
#: (height, width) in pixels.
Size = tuple[int, int]


class Frame(NamedTuple):
    """Width and height of an image in pixels."""

    width: int
    height: int


def check_batch(images: Pixels, uniforms: Floats, draws: int) -> None:
    """Check a batch and its random numbers.

    Raises:
        OptionError: unless images are uint8 (n, height, width, channels) and uniforms (n, draws).
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise OptionError(
            "Augmentation and mixing take uint8 images (n, height, width, channels). "
            f"Received: {images.dtype} {images.shape}"
        )
    if uniforms.shape != (len(images), draws):
        raise OptionError(
            f"Expected uniforms of shape {(len(images), draws)}. Received: {uniforms.shape}"
        )


def to_pil(pixels: Pixels) -> Image.Image:
    """Convert an image of 1 or 3 channels to a grey or RGB image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_array(image: Image.Image) -> Pixels:
    """Return the pixels (height, width, channels), read-only."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def mean_colour(image: Image.Image) -> Image.Image:
    """Return one pixel of the mean colour, rounded.

    PIL reduces in two steps: in one it is slow, and its own sums are too coarse.
    """
    return image.resize((1, 1), Image.Resampling.BOX, reducing_gap=16.0)
