"""Weather: each takes an image (H, W, C) of floats in 0..1 and returns another, not yet clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.corruptions.blur import enlarge, smear

Floats = NDArray[np.floating[Any]]

_LUMA = np.array([0.299, 0.587, 0.114])


def brightness(image: Floats, added: float, rng: np.random.Generator) -> Floats:
    """Daylight: the value of each pixel in HSV is raised, its hue and saturation kept."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + added, 1.0)
    # Black has no hue: it becomes grey.
    return np.divide(
        image * brighter, value, out=np.broadcast_to(brighter, image.shape).copy(), where=value > 0
    )


def fog(image: Floats, haze: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Fog: `thickness` times a fractal cloud is added, and the brightest pixel stays as it is.

    Args:
        image: (H, W, C).
        haze: Thickness, and how much finer detail is weaker: see `cloud`.
        rng: Draws the cloud.
    """
    thickness, decay = haze
    height, width = image.shape[:2]
    side = 1 << (max(height, width) - 1).bit_length()
    brightest = image.max()
    clouded = image + thickness * cloud(side, decay, rng)[:height, :width, None]
    return clouded * brightest / (brightest + thickness)


def snow(
    image: Floats,
    fall: tuple[float, float, float, float, int, float, float],
    rng: np.random.Generator,
) -> Floats:
    """Snow: the scene turns pale, and streaks of flakes fall in front of it, from both sides.

    Args:
        image: (H, W, C).
        fall: Mean and deviation of the flakes' brightness, their size, the brightness below which
            there is none, radius and deviation of their motion in pixels, and the share of the
            scene that keeps its colour.
        rng: Draws the flakes.
    """
    mean, deviation, size, threshold, radius, spread, kept = fall
    flakes = enlarge(rng.normal(mean, deviation, (*image.shape[:2], 1)), size)
    flakes = np.clip(np.where(flakes < threshold, 0.0, flakes), 0.0, 1.0)
    flakes = smear(flakes, radius, spread, angle=rng.uniform(-135, -45))
    grey = image @ _LUMA if image.shape[2] == 3 else image[..., 0]
    pale = np.maximum(image, grey[..., None] * 1.5 + 0.5)
    return kept * image + (1 - kept) * pale + flakes + flakes[::-1, ::-1]


def cloud(side: int, decay: float, rng: np.random.Generator) -> Floats:
    """Return a fractal height map (side, side) in 0..1, by the diamond-square algorithm.

    Args:
        side: A power of two; the map wraps around.
        decay: Noise of each level is weaker than that of the one before by its square.
        rng: Draws the noise.

    Source: Fournier, Fussell and Carpenter (1982), "Computer rendering of stochastic models".
    """
    heights = np.zeros((side, side))
    step, strength = side, 1.0
    while step > 1:
        half = step // 2

        def jittered(total: Floats, strength: float = strength) -> Floats:
            return total / 4 + strength * rng.uniform(-1.0, 1.0, total.shape)

        corners = heights[::step, ::step]
        below = np.roll(corners, -1, axis=0)
        centres = jittered(
            corners + below + np.roll(corners, -1, axis=1) + np.roll(below, -1, axis=1)
        )
        heights[half::step, half::step] = centres
        heights[::step, half::step] = jittered(
            corners + np.roll(corners, -1, axis=1) + centres + np.roll(centres, 1, axis=0)
        )
        heights[half::step, ::step] = jittered(
            corners + below + centres + np.roll(centres, 1, axis=1)
        )
        step, strength = half, strength / decay**2
    heights -= heights.min()
    highest = heights.max()
    return heights / highest if highest > 0 else heights
