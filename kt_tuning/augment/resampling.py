"""Resampling by PIL: 3×3 matrices carried out on one image after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.arrays import Floats, Pixels, Rows, Size, to_pil

# Border -> mode of `numpy.pad`.
BORDERS = {"mirror": "symmetric", "edge": "edge", "wrap": "wrap", "constant": "constant"}
Box = tuple[int, int, int, int]
# How PIL samples, and how many samples a side become one pixel.
INTERPOLATIONS = {
    "nearest": (Image.Resampling.NEAREST, 1),
    "box": (Image.Resampling.NEAREST, 2),
    "bilinear": (Image.Resampling.BILINEAR, 1),
    "bicubic": (Image.Resampling.BICUBIC, 1),
}
# Bilinear, or box where it is faster and as good.
AUTO = "auto"
# Where box is neither faster nor as good: images of so many pixels or fewer.
SMALL_PIXELS = 2**13
# Least distance of neighbouring output pixels, in input pixels, at which box is as good.
LEAST_STEP = 0.75
# How far beyond the border, in sides, an image may be looked up: a horizon is infinitely far away.
# Beyond that it is black.
HORIZON = 7


def window(images: Pixels, box: Box, border: str) -> Pixels:
    """Cut a box (left, top, right, bottom) out of images (n, height, width, channels)."""
    left, top, right, bottom = box
    height, width = images.shape[1:3]
    above, before = max(0, -top), max(0, -left)
    margins = ((above, max(0, bottom - height)), (before, max(0, right - width)))
    if margins != ((0, 0), (0, 0)):
        images = np.pad(images, ((0, 0), *margins, (0, 0)), mode=BORDERS[border])  # type: ignore[call-overload]
    return images[:, top + above : bottom + above, left + before : right + before]


def sample(
    image: Image.Image,
    size: Size,
    method: Image.Transform,
    data: Sequence[Any],
    interpolation: str,
) -> Image.Image:
    """Transform an image to (width, height) by `Image.transform`."""
    resampling, samples = INTERPOLATIONS[interpolation]
    dense = (size[0] * samples, size[1] * samples)
    moved = image.transform(dense, method, data, resample=resampling)
    return moved.reduce(samples) if samples > 1 else moved


def coefficients(
    matrices: Floats, starts: NDArray[np.int64], interpolation: str
) -> list[tuple[Image.Transform, list[float]]]:
    """Return method and data of `sample` for images whose first pixels are at `starts` (n, 2)."""
    moved = matrices / [*[INTERPOLATIONS[interpolation][1]] * 2, 1]
    moved[:, :2] -= starts[:, :, None] * moved[:, 2:]
    affine, data = Image.Transform.AFFINE, moved[:, :2].reshape(-1, 6).tolist()
    if is_affine(matrices).all():
        return [(affine, each) for each in data]
    projective = (moved / moved[:, 2:, 2:]).reshape(-1, 9)[:, :8].tolist()
    return [
        (affine, straight) if flat else (Image.Transform.PERSPECTIVE, bent)
        for flat, straight, bent in zip(is_affine(matrices), data, projective, strict=True)
    ]


def is_small(size: tuple[int, ...]) -> bool:
    """Return whether (height, width) has at most `SMALL_PIXELS` pixels."""
    return size[0] * size[1] <= SMALL_PIXELS


def for_small(interpolation: str) -> str:
    """Return the interpolation for small images."""
    return "bilinear" if interpolation == AUTO else interpolation


def choose(interpolation: str, matrices: Floats, size: Size) -> NDArray[np.str_]:
    """Return the interpolation of each image for an output of (height, width)."""
    if interpolation != AUTO or is_small(size):
        return np.full(len(matrices), for_small(interpolation))
    steps = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2])))
    return np.where(is_affine(matrices) & (steps >= LEAST_STEP), "box", "bilinear")


def is_affine(matrices: Floats) -> NDArray[np.bool_]:
    """Return which matrices are affine."""
    return np.all(matrices[:, 2] == [0, 0, 1], axis=1)


def keeps_grid(matrices: Floats) -> NDArray[np.bool_]:
    """Return which matrices are flips, quarter turns and shifts by whole pixels."""
    whole = np.all(matrices == np.round(matrices), axis=(1, 2))
    turned = np.abs(matrices[:, :2, :2])
    permuted = np.all(turned.sum(axis=1) == 1, axis=1) & np.all(turned.sum(axis=2) == 1, axis=1)
    return whole & permuted & is_affine(matrices)


def seen_corners(matrices: Floats, size: Size) -> Floats:
    """Return the corners of the output in the input, (n, 4, 2): clockwise from the top left."""
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    seen = corners @ matrices.transpose(0, 2, 1)
    return seen[:, :, :2] / seen[:, :, 2:]


def resample(
    images: Pixels,
    matrices: Floats,
    rows: Rows,
    size: Size,
    border: str,
    interpolation: str,
) -> Iterator[Image.Image]:
    """Yield some images, resampled by their matrices.

    Args:
        images: (n, height, width, channels).
        matrices: (m, 3, 3), from output to input coordinates.
        rows: (m,) indices of the images.
        size: (height, width) of the output.
        border: Key of `BORDERS`.
        interpolation: Key of `INTERPOLATIONS`.
    """
    sides = np.array([images.shape[2], images.shape[1]])
    seen = np.nan_to_num(seen_corners(matrices, size))
    seen = np.clip(seen, -HORIZON * sides, (1 + HORIZON) * sides)
    # All that PIL looks at to interpolate between these corners: left, top, right, bottom.
    first, last = np.floor(seen.min(axis=1)) - 2, np.ceil(seen.max(axis=1)) + 2
    boxes = np.concatenate([first, last], axis=1).astype(np.int64)
    # Whole lines are not copied when they become an image.
    boxes[:, 0], boxes[:, 2] = np.minimum(boxes[:, 0], 0), np.maximum(boxes[:, 2], sides[0])
    if border == "constant":
        # PIL fills with black by itself.
        boxes = np.clip(boxes, [0, 0, 1, 1], [*(sides - 1), *sides])
    calls = coefficients(matrices, boxes[:, :2], interpolation)
    for row, (left, top, right, bottom), (method, data) in zip(
        rows.tolist(), boxes.tolist(), calls, strict=True
    ):
        image = to_pil(window(images[row : row + 1], (left, top, right, bottom), border)[0])
        yield sample(image, size[::-1], method, data, interpolation)
