"""Carrying out flips, quarter turns and shifts by whole pixels: nothing is interpolated."""

from __future__ import annotations

import numpy as np

from kt_tuning.augment.borders import window
from kt_tuning.augment.op_kinds import Floats, Pixels
from kt_tuning.augment.sampling import seen_corners


def cut(images: Pixels, matrices: Floats, size: tuple[int, int], border: str) -> Pixels:
    """Move the pixels of each image by its matrix, one of those that `keeps_grid` finds.

    Args:
        images: (n, height, width, channels).
        matrices: (n, 3, 3), from output to input coordinates.
        size: (height, width) of the output.
        border: Key of `BORDERS`.

    Returns:
        uint8 (n, *size, channels), new.
    """
    seen = seen_corners(matrices, size).astype(np.int64)
    first, last = seen.min(axis=1), seen.max(axis=1)
    start = first.min(axis=0)
    found = window(images, (*start.tolist(), *last.max(axis=0).tolist()), border)
    boxes = np.concatenate([first - start, last - start], axis=1).tolist()
    mirrored = (matrices[:, :2, :2].sum(axis=2) < 0).tolist()
    swapped = (matrices[:, 0, 0] == 0).tolist()
    moved = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for place, (left, top, right, bottom) in enumerate(boxes):
        piece = found[place, top:bottom, left:right]
        if mirrored[place][0]:
            piece = piece[:, ::-1]
        if mirrored[place][1]:
            piece = piece[::-1]
        moved[place] = piece.swapaxes(0, 1) if swapped[place] else piece
    return moved
