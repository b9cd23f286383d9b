"""Conversion between arrays of pixels and PIL images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_pil(pixels: NDArray[np.uint8]) -> Image.Image:
    """Convert uint8 (height, width, 1 or 3) to a grey or RGB image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels (height, width, channels), read-only."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels
