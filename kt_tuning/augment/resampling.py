"""Carrying out 3×3 matrices by PIL, one image after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from kt_tuning.augment.borders import window
from kt_tuning.augment.op_kinds import Floats, Pixels, Rows
from kt_tuning.augment.pil_images import to_pil
from kt_tuning.augment.sampling import coefficients, sample, seen_corners

# How far beyond the border, in sides, an image may be looked up: a horizon is infinitely far away.
# Beyond that it is black.
HORIZON = 7


def resample(
    images: Pixels,
    matrices: Floats,
    rows: Rows,
    size: tuple[int, int],
    border: str,
    interpolation: str,
) -> Iterator[Image.Image]:
    """Move the pixels of some images.

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
