"""Small grey copies of images, for finding duplicates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
"""Cells of a thumbnail in each direction."""


def thumbnail_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of the thumbnail of an image of (height, width, …)."""
    return min(shape[0], SIDE), min(shape[1], SIDE)


def thumbnail(picture: Image.Image) -> Image.Image:
    """Average the pixels of an image over cells of equal size, and turn them grey.

    Where the sides are no multiples of 16, a margin of less than 8 pixels is left out on all sides.
    An image of fewer than 16 pixels in a direction keeps them.

    Args:
        picture: Mode "L" or "RGB".

    Returns:
        Mode "L", of (min(width, 16), min(height, 16)).
    """
    width, height = picture.size
    across, down = min(width, SIDE), min(height, SIDE)
    cell = (width // across, height // down)
    left, top = (width - cell[0] * across) // 2, (height - cell[1] * down) // 2
    box = (left, top, left + cell[0] * across, top + cell[1] * down)
    return picture.reduce(cell, box).convert("L")


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the thumbnails of images in memory, uint8 (N, h, w).

    Args:
        images: uint8 (N, height, width, 1 or 3).
    """
    planes = images[..., 0] if images.shape[-1] == 1 else images
    small = (thumbnail(Image.fromarray(plane)) for plane in planes)
    return stacked(small, thumbnail_shape(images.shape[1:]))


def stacked(pictures: Iterable[Image.Image], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of images of one shape, uint8 (N, *shape), faster than `np.stack`."""
    content = b"".join(picture.tobytes() for picture in pictures)
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)
