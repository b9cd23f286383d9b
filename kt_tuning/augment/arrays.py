"""Types of arrays, checks of them, and the mean colour of an image."""

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


def mean_colour(image: Image.Image) -> Image.Image:
    """Return one pixel of the mean colour, rounded.

    PIL reduces in two steps: in one it is slow, and its own sums are too coarse.
    """
    return image.resize((1, 1), Image.Resampling.BOX, reducing_gap=16.0)
