"""Carrying out 3×3 matrices: slices where pixels keep their grid, PIL where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.borders import window
from kt_tuning.augment.forms import Floats, Pixels, Rows
from kt_tuning.augment.groups import groups, neighbours
from kt_tuning.augment.images import to_array, to_pil
from kt_tuning.augment.sampling import (
    INTERPOLATIONS,
    choose,
    coefficients,
    for_small,
    is_affine,
    keeps_grid,
    sample,
    seen_corners,
)

# Smaller images are put into one large image, as calling PIL takes longer than its work on them.
SMALL_PIXELS = 2**13
# How far beyond the border, in sides, an image alone may be looked up: a horizon is infinitely far
# away. Beyond that it is black.
HORIZON = 7
# PIL truncates what it interpolates. Where that is exactly a level, the last bit of a coordinate
# decides between it and the next lower one, and that bit depends on where in the large image the
# small one lies. Coordinates that are so far off, in pixels, never give exactly a level.
TIE_BREAK = np.array([1e-6, 1.618e-6])


def resample(
    images: Pixels,
    matrices: Floats,
    size: tuple[int, int],
    *,
    border: str,
    interpolation: str,
    finish: Callable[[int, Image.Image], Image.Image] | None = None,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Move the pixels of each image by its matrix.

    Args:
        images: (n, height, width, channels).
        matrices: (n, 3, 3), from output to input coordinates.
        size: (height, width) of the output.
        border: Key of `BORDERS`.
        interpolation: Key of `INTERPOLATIONS`, or `AUTO`.
        finish: (index, image) -> image, what is still to be done to those that are PIL images one
            by one at the end.

    Returns:
        uint8 (n, *size, channels), new; and which of them are finished.
    """
    out = np.empty((len(images), *size, images.shape[3]), np.uint8)
    exact = keeps_grid(matrices)
    together = ~exact & is_affine(matrices) & (size[0] * size[1] <= SMALL_PIXELS)
    alone = ~exact & ~together
    for rows in groups(np.flatnonzero(exact), size):
        _slice(images, matrices, rows, border, out)
    for rows in groups(np.flatnonzero(together), size):
        _mesh(images, matrices, rows, border, for_small(interpolation), out)
    singles = np.flatnonzero(alone)
    chosen = choose(interpolation, matrices[singles])
    for name in set(chosen.tolist()):
        rows = singles[chosen == name]
        moved = _transform(images, matrices[rows], rows, size, border, name)
        for row, image in zip(rows.tolist(), moved, strict=True):
            out[row] = to_array(image if finish is None else finish(row, image))
    return out, alone


def _slice(images: Pixels, matrices: Floats, rows: Rows, border: str, out: Pixels) -> None:
    """What keeps the grid."""
    seen = seen_corners(matrices[rows], out.shape[1:3]).astype(np.int64)
    first, last = seen.min(axis=1), seen.max(axis=1)
    start = first.min(axis=0)
    cut = window(images[neighbours(rows)], (*start.tolist(), *last.max(axis=0).tolist()), border)
    boxes = np.concatenate([first - start, last - start], axis=1).tolist()
    linear = matrices[rows, :2, :2].sum(axis=2)
    mirrored = (linear < 0).tolist()
    swapped = (matrices[rows, 0, 0] == 0).tolist()
    for place, (row, (left, top, right, bottom)) in enumerate(
        zip(rows.tolist(), boxes, strict=True)
    ):
        piece = cut[place, top:bottom, left:right]
        if mirrored[place][0]:
            piece = piece[:, ::-1]
        if mirrored[place][1]:
            piece = piece[::-1]
        out[row] = piece.swapaxes(0, 1) if swapped[place] else piece


def _mesh(
    images: Pixels,
    matrices: Floats,
    rows: Rows,
    border: str,
    interpolation: str,
    out: Pixels,
) -> None:
    """Several images by one call: they are stacked to one, and so are the results."""
    height, width = out.shape[1:3]
    seen = seen_corners(matrices[rows], (height, width))
    boxes = _boxes(seen)
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    cut = window(images[neighbours(rows)], (left, top, right, bottom), border)
    tall = to_pil(cut.reshape(-1, *cut.shape[2:]))
    # PIL takes corners from the top left, anticlockwise.
    quads = seen[:, [0, 3, 2, 1]] - [left, top] + TIE_BREAK
    quads[:, :, 1] += (bottom - top) * np.arange(len(rows))[:, None]
    high = height * INTERPOLATIONS[interpolation][1]
    wide = width * INTERPOLATIONS[interpolation][1]
    mesh = [
        ((0, number * high, wide, (number + 1) * high), quad)
        for number, quad in enumerate(quads.reshape(-1, 8).tolist())
    ]
    size = (width, height * len(rows))
    moved = sample(tall, size, Image.Transform.MESH, mesh, interpolation)
    out[neighbours(rows)] = np.asarray(moved).reshape(-1, *out.shape[1:])


def _transform(
    images: Pixels,
    matrices: Floats,
    rows: Rows,
    size: tuple[int, int],
    border: str,
    interpolation: str,
) -> Iterator[Image.Image]:
    """One image after the other."""
    sides = np.array([images.shape[2], images.shape[1]])
    seen = np.nan_to_num(seen_corners(matrices, size))
    boxes = _boxes(np.clip(seen, -HORIZON * sides, (1 + HORIZON) * sides))
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


def _boxes(seen: Floats) -> NDArray[np.int64]:
    """All that PIL looks at to interpolate between these corners: left, top, right, bottom."""
    first, last = np.floor(seen.min(axis=1)) - 2, np.ceil(seen.max(axis=1)) + 2
    return np.concatenate([first, last], axis=1).astype(np.int64)
