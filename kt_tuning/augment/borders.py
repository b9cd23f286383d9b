"""What is beyond the edge of an image."""

from __future__ import annotations

import numpy as np

from kt_tuning.augment.op_kinds import Pixels

# Names of `numpy.pad`.
BORDERS = {"mirror": "symmetric", "edge": "edge", "wrap": "wrap", "constant": "constant"}

Box = tuple[int, int, int, int]


def window(images: Pixels, box: Box, border: str) -> Pixels:
    """Cut a box (left, top, right, bottom) out of images (n, height, width, channels)."""
    left, top, right, bottom = box
    height, width = images.shape[1:3]
    above, before = max(0, -top), max(0, -left)
    margins = ((above, max(0, bottom - height)), (before, max(0, right - width)))
    if margins != ((0, 0), (0, 0)):
        images = np.pad(images, ((0, 0), *margins, (0, 0)), mode=BORDERS[border])  # type: ignore[call-overload]
    return images[:, top + above : bottom + above, left + before : right + before]
