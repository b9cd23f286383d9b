"""Processing: each takes an image (H, W, C) of floats in 0..1 and returns another, not clipped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[np.floating[Any]]


def contrast(image: Floats, factor: float, rng: np.random.Generator) -> Floats:
    """Less contrast: differences from each channel's mean are multiplied."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * factor + mean


def elastic_transform(
    image: Floats, stretch: tuple[float, float, float], rng: np.random.Generator
) -> Floats:
    """Stretching: a random affine map, then random displacements that are smooth.

    Args:
        image: (H, W, C).
        stretch: Largest displacement, deviation of the kernel that smooths it, and largest shift of
            the three points that define the affine map, all as shares of the shorter side.
        rng: Draws points and displacements.
    """
    side = min(image.shape[:2])
    amplitude, smoothness, shift = (side * share for share in stretch)
    rows, columns = np.indices(image.shape[:2], dtype=np.float64)
    source = _affine(image.shape[:2], shift, rng) @ np.stack(
        [columns.ravel(), rows.ravel(), np.ones(rows.size)]
    )
    warped = _sample(image, source[1].reshape(rows.shape), source[0].reshape(rows.shape), "mirror")
    down, right = (
        amplitude
        * ndimage.gaussian_filter(
            rng.uniform(-1, 1, rows.shape), smoothness, mode="reflect", truncate=3
        )
        for _ in range(2)
    )
    return _sample(warped, rows + down, columns + right, "reflect")


def pixelate(image: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Low resolution: shrunk to a share of its sides, and enlarged again."""
    height, width = image.shape[:2]
    small = (max(1, int(width * share)), max(1, int(height * share)))
    shrunk = _pillow(image).resize(small, Image.Resampling.BOX)
    return _floats(shrunk.resize((width, height), Image.Resampling.BOX), image.shape)


def jpeg_compression(image: Floats, quality: int, rng: np.random.Generator) -> Floats:
    """JPEG of a quality from 1 (worst) to 95."""
    with io.BytesIO() as file:
        _pillow(image).save(file, "JPEG", quality=quality)
        file.seek(0)
        return _floats(Image.open(file), image.shape)


def _affine(size: tuple[int, ...], shift: float, rng: np.random.Generator) -> Floats:
    """Return (2, 3): where in the image (x, y, 1) of the result comes from."""
    centre = np.array(size[::-1]) // 2
    arm = min(size) // 3
    points = centre + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-shift, shift, points.shape)
    return np.linalg.solve(np.column_stack([moved, np.ones(3)]), points).T


def _sample(image: Floats, rows: Floats, columns: Floats, border: str) -> Floats:
    """Return the image's values between its pixels, interpolated linearly."""
    channels = [
        ndimage.map_coordinates(channel, [rows, columns], order=1, mode=border)
        for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack(channels, axis=2)


def _pillow(image: Floats) -> Image.Image:
    pixels = np.rint(image * 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _floats(image: Image.Image, shape: tuple[int, ...]) -> Floats:
    return np.asarray(image, dtype=np.float64).reshape(shape) / 255
