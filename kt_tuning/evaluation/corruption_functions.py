"""Corruptions: (image (H, W, C) of floats in 0..1, constants of a severity, rng) -> image.

Results are not clipped yet. `corruptions.py` is the table of them with their constants.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from kt_tuning.core.pictures import to_pil

Floats = NDArray[np.floating[Any]]

_LUMA = np.array([0.299, 0.587, 0.114])


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
        deviation: Deviation of the normal curve, in pixels.
        angle: Angle of the line, in degrees from the horizontal.
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
    padded = np.pad(disc / disc.sum(), border)
    return ndimage.gaussian_filter(padded, deviation, radius=border, mode="constant")


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
    return to_pil(np.rint(image * 255).astype(np.uint8))


def _floats(image: Image.Image, shape: tuple[int, ...]) -> Floats:
    return np.asarray(image, dtype=np.float64).reshape(shape) / 255
