"""Application of fused matrices and tables to a batch, or to one PIL image.

For a batch NumPy multiplies a colour matrix with all pixels of an image, and `bytes.translate`
applies tables: both are faster than making PIL images.
"""

from __future__ import annotations

import itertools
import math
import operator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.arrays import Floats, Pixels, Rows, Size, mean_colour, to_array, to_pil
from kt_tuning.augment.pixel_ops import LUMA
from kt_tuning.augment.resampling import (
    COPIED_PIXELS,
    Lanes,
    channels_of,
    choose,
    cut,
    fill,
    groups,
    interpolate,
    is_affine,
    is_small,
    keeps_grid,
    neighbours,
    resample,
    to_pixels,
)

# Pixels that are summed as one row: NumPy is slow at rows of 4 values.
LINE = 16


def render(
    images: Pixels,
    geometry: Floats,
    colour: Floats,
    *,
    coloured: NDArray[np.bool_],
    border: str,
    interpolation: str,
) -> Pixels:
    """Resample each image by its geometric matrix (n, 3, 3), then apply its colour matrix.

    Colour matrices, (n, 3, 7) as in `pixel_ops`, apply where `coloured` (n,) is true. `border` and
    `interpolation` are keys of `BORDERS` and `INTERPOLATIONS`, or `AUTO`.

    Returns:
        uint8 (n, height, width, channels), new.
    """
    channels = images.shape[3]
    size: Size = (images.shape[1], images.shape[2])
    rendered = np.empty_like(images)
    exact = keeps_grid(geometry)
    chosen = choose(interpolation, geometry, size)
    # Calling PIL for a small image takes longer than its work.
    small = is_small(size)
    together = small & (chosen == "bilinear") & is_affine(geometry) & ~exact
    for recoloured in (True, False):
        for rows in groups(np.flatnonzero(together & (coloured == recoloured)), size):
            some = neighbours(rows)
            lanes = interpolate(images[some], geometry[some], border)
            if recoloured:
                rendered[some] = recolour_lanes(lanes, colour[some], channels)
            else:
                rendered[some] = to_pixels(lanes, channels)
    for rows in groups(np.flatnonzero(exact), size, COPIED_PIXELS):
        some = neighbours(rows)
        rendered[some] = cut(images[some], geometry[some], border)
    for rows in groups(np.flatnonzero(exact & coloured & small), size):
        some = neighbours(rows)
        rendered[some] = recolour(rendered[some], colour[some])
    for row in np.flatnonzero(exact & coloured & (not small)).tolist():
        rendered[row] = to_array(recolour_image(to_pil(rendered[row]), colour[row]))
    alone = ~exact & ~together
    for name in np.unique(chosen[alone]):
        rows = np.flatnonzero(alone & (chosen == name))
        moved = resample(images, geometry[rows], rows, border, str(name))
        for row, image in zip(rows.tolist(), moved, strict=True):
            rendered[row] = to_array(recolour_image(image, colour[row]) if coloured[row] else image)
    return rendered


def compose(later: Floats, earlier: Floats) -> Floats:
    """Return the matrices (n, 3, 7) of the operation `later` after `earlier`."""
    square = np.zeros((len(earlier), 7, 7))
    square[:, :3] = earlier
    # The means of the output from those of the input.
    square[:, 3:6, 3:6] = earlier[:, :, :3] + earlier[:, :, 3:6]
    square[:, 3:6, 6] = earlier[:, :, 6]
    square[:, 6, 6] = 1
    return later @ square


def recolour_lanes(lanes: Lanes, matrices: Floats, channels: int) -> Pixels:
    """Do the same as `recolour` to pixels of 64 bits (n, height, width), see `resampling`."""
    return _recolour(channels_of(lanes).astype(np.float32), matrices, channels)


def recolour(pixels: Pixels, matrices: Floats) -> Pixels:
    """Apply colour matrices (n, 3, 7) to small images, and round and clip once."""
    values = np.zeros((*pixels.shape[:3], 4), np.float32)
    fill(values, pixels)
    return _recolour(values, matrices, pixels.shape[3])


def _recolour(levels: NDArray[np.float32], matrices: Floats, channels: int) -> Pixels:
    """Apply matrices to levels (n, height, width, 4), which are overwritten."""
    count, height, width, _ = levels.shape
    values = levels.reshape(count, height * width, 4)
    means = np.zeros((count, channels))
    if matrices[:, :, 3:6].any():
        means = _means(values)[:, :channels]
    # The fourth channel is 1, for the constants.
    values[..., 3] = 1
    factors = _for_channels(matrices, means)
    changed = values @ factors
    np.clip(changed, 0, 255, out=changed)
    return changed.astype(np.uint8).reshape(count, height, width, channels)


def retable(pixels: Pixels, tables: Pixels, rows: Rows) -> None:
    """Apply tables (n, 256) to the images `rows`, in place."""
    for row in rows.tolist():
        mapped = pixels[row].tobytes().translate(tables[row].tobytes())
        pixels[row] = np.frombuffer(mapped, np.uint8).reshape(pixels[row].shape)


def recolour_image(image: Image.Image, matrix: Floats) -> Image.Image:
    """Apply a colour matrix (3, 7) to one image."""
    # In plain Python: for a single matrix NumPy takes longer.
    # A grey mean counts for all three channels.
    mean = [*mean_colour(image).tobytes()] * 3
    lines = [
        (*line[:3], line[6] + sum(map(operator.mul, line[3:6], mean))) for line in matrix.tolist()
    ]
    if image.mode == "RGB":
        return image.convert("RGB", tuple(itertools.chain.from_iterable(lines)))
    # Red, green and blue are the grey value, and their luminance is wanted.
    factor = sum(share * sum(line[:3]) for share, line in zip(LUMA, lines, strict=True))
    constant = sum(share * line[3] for share, line in zip(LUMA, lines, strict=True))
    values = np.clip(np.arange(256) * factor + constant + 0.5, 0, 255)
    return image.point(values.astype(int).tolist())


def _for_channels(matrices: Floats, means: Floats) -> NDArray[np.float32]:
    """Return the factors (n, 4, channels) of pixels (red, green, blue, 1) for these means."""
    factors = np.empty((len(matrices), 3, 4))
    factors[:, :, :3] = matrices[:, :, :3]
    colours = np.broadcast_to(means, (len(means), 3))
    # A half, as the conversion to whole numbers truncates.
    factors[:, :, 3] = matrices[:, :, 6] + 0.5
    factors[:, :, 3] += (matrices[:, :, 3:6] @ colours[:, :, None])[:, :, 0]
    if means.shape[1] == 1:
        # Red, green and blue are the grey value, and their luminance is wanted.
        factors = LUMA @ factors
        factors[:, 0] = factors[:, :3].sum(axis=1)
        factors = factors[:, None]
    return np.ascontiguousarray(factors.transpose(0, 2, 1), np.float32)


def _means(values: NDArray[np.float32]) -> Floats:
    """Return the means (n, 4) of (n, pixels, 4); sums by BLAS are faster than `mean`."""
    count, pixels, channels = values.shape
    together = math.gcd(pixels, LINE)
    wide = values.reshape(count, pixels // together, together * channels)
    sums = np.ones(wide.shape[1], np.float32) @ wide
    return sums.reshape(count, together, channels).astype(np.float64).sum(axis=1) / pixels
