"""Blur: each takes an image (H, W, C) of floats in 0..1 and returns another, not yet clipped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating[Any]]


def gaussian_blur(image: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """A normal kernel of a standard deviation in pixels."""
    return ndimage.gaussian_filter(image, (deviation, deviation, 0), mode="nearest")


def defocus_blur(image: Floats, lens: tuple[float, float], rng: np.random.Generator) -> Floats:
    """A disc: radius in pixels, and standard deviation of the blur that smooths its rim."""
    return ndimage.convolve(image, _disc(*lens)[:, :, None], mode="mirror")


def motion_blur(image: Floats, motion: tuple[int, float], rng: np.random.Generator) -> Floats:
    """A camera that moves at up to 45 degrees: see `smear`."""
    return smear(image, *motion, angle=rng.uniform(-45, 45))


def zoom_blur(image: Floats, zoom: tuple[float, float], rng: np.random.Generator) -> Floats:
    """A camera that moves towards the scene: the mean over zoom factors 1 to `stop` by `step`."""
    stop, step = zoom
    factors = np.arange(1.0, stop, step)
    return (image + sum(enlarge(image, factor) for factor in factors)) / (len(factors) + 1)


def smear(image: Floats, radius: int, deviation: float, *, angle: float) -> Floats:
    """Average the image with itself, moved along a line by 0 to 2 radius pixels.

    The weights fall like one side of a normal curve, as in ImageMagick's MotionBlurImage.

    Args:
        image: (H, W, C).
        radius: Half of the line's length, in pixels.
        deviation: Of the normal curve, in pixels.
        angle: Of the line, in degrees from the horizontal.
    """
    height, width = image.shape[:2]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    down, right = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    smeared = np.zeros_like(image)
    for step, weight in zip(steps, weights, strict=True):
        rows = np.arange(height) + math.ceil(step * down - 0.5)
        columns = np.arange(width) + math.ceil(step * right - 0.5)
        shifted = image[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
        smeared += weight * shifted
    return smeared


def enlarge(image: Floats, factor: float) -> Floats:
    """Return the middle of an image (H, W, C), enlarged to the same size; `factor` at least 1."""
    height, width = image.shape[:2]
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = image[top : top + rows, left : left + columns]
    zoomed = ndimage.zoom(middle, (factor, factor, 1), order=1)
    top, left = (zoomed.shape[0] - height) // 2, (zoomed.shape[1] - width) // 2
    return zoomed[top : top + height, left : left + width]


def _disc(radius: float, deviation: float) -> Floats:
    """Return a smoothed disc that sums to 1, on a square just large enough for it."""
    reach = math.floor(radius)
    offsets = np.arange(-reach, reach + 1)
    disc = (np.add.outer(offsets**2, offsets**2) <= radius**2).astype(np.float64)
    border = 1 if radius <= 8 else 2
    taps = np.exp(-(np.arange(-border, border + 1) ** 2) / (2 * deviation**2))
    taps /= taps.sum()
    smoothed = np.pad(disc / disc.sum(), border)
    for axis in (0, 1):
        smoothed = ndimage.correlate1d(smoothed, taps, axis=axis, mode="constant")
    return smoothed
