"""Application of fused geometric and colour matrices to a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment.op_kinds import Floats, Pixels
from kt_tuning.augment.pil_images import to_array, to_pil
from kt_tuning.augment.recolouring import recolour, recolour_image, recolour_lanes
from kt_tuning.augment.resampling import choose, is_affine, is_small, keeps_grid, resample
from kt_tuning.augment.small_images import (
    COPIED_PIXELS,
    cut,
    groups,
    interpolate,
    neighbours,
    to_pixels,
)


def render(
    images: Pixels,
    geometry: Floats,
    colour: Floats,
    *,
    coloured: NDArray[np.bool_],
    size: tuple[int, int],
    border: str,
    interpolation: str,
) -> Pixels:
    """Resample each image by its geometric matrix, then apply its colour matrix.

    Args:
        images: (n, height, width, channels).
        geometry: (n, 3, 3), see `forms.Geometric`.
        colour: (n, 3, 7), see `forms.Linear`.
        coloured: (n,) whether the colour matrix of an image applies.
        size: (height, width) of the output.
        border: Key of `BORDERS`.
        interpolation: Key of `INTERPOLATIONS`, or `AUTO`.

    Returns:
        uint8 (n, *size, channels), new.
    """
    channels = images.shape[3]
    rendered = np.empty((len(images), *size, channels), np.uint8)
    exact = keeps_grid(geometry)
    chosen = choose(interpolation, geometry, size)
    # Calling PIL for a small image takes longer than its work. It weights colours by their opacity.
    small = is_small(images.shape[1:3]) and is_small(size) and channels < 4
    together = small & (chosen == "bilinear") & is_affine(geometry) & ~exact
    for rows in groups(np.flatnonzero(together & coloured), size):
        some = neighbours(rows)
        lanes = interpolate(images[some], geometry[some], size, border)
        rendered[some] = recolour_lanes(lanes, colour[some], channels)
    for rows in groups(np.flatnonzero(together & ~coloured), size):
        some = neighbours(rows)
        lanes = interpolate(images[some], geometry[some], size, border)
        rendered[some] = to_pixels(lanes, channels)
    for rows in groups(np.flatnonzero(exact), size, COPIED_PIXELS):
        some = neighbours(rows)
        rendered[some] = cut(images[some], geometry[some], size, border)
    for rows in groups(np.flatnonzero(exact & coloured & small), size):
        some = neighbours(rows)
        rendered[some] = recolour(rendered[some], colour[some])
    for row in np.flatnonzero(exact & coloured & ~small).tolist():
        rendered[row] = to_array(recolour_image(to_pil(rendered[row]), colour[row]))
    alone = ~exact & ~together
    for name in np.unique(chosen[alone]):
        rows = np.flatnonzero(alone & (chosen == name))
        moved = resample(images, geometry[rows], rows, size, border, str(name))
        for row, image in zip(rows.tolist(), moved, strict=True):
            rendered[row] = to_array(recolour_image(image, colour[row]) if coloured[row] else image)
    return rendered
