"""Noise: each takes an image (H, W, C) of floats in 0..1 and returns another, not yet clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def gaussian_noise(image: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """Low light: normal noise of a standard deviation."""
    return image + rng.normal(scale=deviation, size=image.shape)


def shot_noise(image: Floats, photons: float, rng: np.random.Generator) -> Floats:
    """Discrete light: Poisson counts of so many photons at white."""
    return rng.poisson(image * photons) / photons


def impulse_noise(image: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Salt and pepper: a share of the values becomes 0 or 1."""
    hit = rng.random(image.shape) <= share
    return np.where(hit, rng.integers(2, size=image.shape), image)


def missing_pixels(image: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Dead sensor cells: a share of the pixels is black, in all channels."""
    return np.where(rng.random((*image.shape[:2], 1)) < share, 0.0, image)
