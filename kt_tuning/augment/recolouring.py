"""Carrying out colour matrices and tables, on a batch in place or on one PIL image.

On a batch NumPy multiplies a matrix with several pixels at a time, and tables are
`bytes.translate`: both take less time than making PIL images does.
"""

from __future__ import annotations

import itertools
import math
import operator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.colour import LUMA
from kt_tuning.augment.forms import Floats, Pixels, Rows
from kt_tuning.augment.groups import groups, neighbours
from kt_tuning.augment.images import mean_colour

# A matrix is multiplied with so many pixels at once, as the diagonal blocks of a larger one: BLAS
# is slow at 3×3.
TOGETHER = 4
# NumPy is slow at rows of 3: so many pixels are one row.
LINE = 64
# Rows of a multiplication: more, and BLAS would start threads of its own.
BAND = 1024


def compose(later: Floats, earlier: Floats) -> Floats:
    """The matrices (n, 3, 7) of one colour operation after another one."""
    square = np.zeros((len(earlier), 7, 7))
    square[:, :3] = earlier
    # The mean of what comes out, from the mean of what went in.
    square[:, 3:6, 3:6] = earlier[:, :, :3] + earlier[:, :, 3:6]
    square[:, 3:6, 6] = earlier[:, :, 6]
    square[:, 6, 6] = 1
    return later @ square


def recolour(pixels: Pixels, matrices: Floats, rows: Rows) -> None:
    """Apply colour matrices, and round and clip once.

    Args:
        pixels: (n, height, width, 1, 3 or 4), changed. A fourth channel stays as it is.
        matrices: (n, 3, 7), see `forms.Linear`.
        rows: Indices of the images that are changed.
    """
    count, height, width, channels = pixels.shape
    flat = pixels.reshape(count, height * width, channels)
    # The same memory for every group: the system takes longer to hand it out than this takes.
    buffers: list[NDArray[np.float32]] = []
    for group in groups(rows, (height, width)):
        if not buffers:
            buffers = [np.empty((len(group), *flat.shape[1:]), np.float32) for _ in range(2)]
        values, changed = (buffer[: len(group)] for buffer in buffers)
        images = neighbours(group)
        values[:] = flat[images]
        looks_at_mean = matrices[images, :, 3:6].any()
        means = _means(values) if looks_at_mean else np.zeros((len(group), channels))
        matrix, constant = _for_channels(matrices[images], means)
        _multiply(values, matrix.astype(np.float32), changed)
        # A half, as the conversion to whole numbers truncates.
        _add(changed, (constant + 0.5).astype(np.float32))
        np.clip(changed, 0, 255, out=changed)
        flat[images] = changed


def retable(pixels: Pixels, tables: Pixels, rows: Rows) -> None:
    """Apply tables (n, 256) to the colours of the images `rows`, in place."""
    for row in rows.tolist():
        colours = pixels[row, ..., :3]
        mapped = colours.tobytes().translate(tables[row].tobytes())
        colours[:] = np.frombuffer(mapped, np.uint8).reshape(colours.shape)


def recolour_image(image: Image.Image, matrix: Floats | None, table: Pixels | None) -> Image.Image:
    """Apply a colour matrix (3, 7), then a table (256,), to one image; None is nothing."""
    if matrix is None and table is None:
        return image
    if image.mode == "RGBA":
        changed = recolour_image(image.convert("RGB"), matrix, table).copy()
        changed.putalpha(image.getchannel("A"))
        return changed
    if matrix is not None:
        image = _convert(image, matrix)
    return image if table is None else image.point(table.tolist() * len(image.getbands()))


def _convert(image: Image.Image, matrix: Floats) -> Image.Image:
    """In plain Python: for a single matrix NumPy takes longer."""
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


def _for_channels(matrices: Floats, means: Floats) -> tuple[Floats, Floats]:
    """Matrices (n, c, c) and what is added, (n, c), for images with these means (n, c)."""
    channels = means.shape[1]
    pixel, mean, constant = matrices[:, :, :3], matrices[:, :, 3:6], matrices[:, :, 6]
    colours = np.broadcast_to(means[:, : min(channels, 3)], constant.shape)
    constant = constant + (mean @ colours[:, :, None])[:, :, 0]
    if channels == 1:
        # Red, green and blue are the grey value, and their luminance is wanted.
        return (LUMA @ pixel).sum(axis=1)[:, None, None], (constant @ LUMA)[:, None]
    if channels == 4:
        pixel = np.pad(pixel, ((0, 0), (0, 1), (0, 1)))
        pixel[:, 3, 3] = 1
        constant = np.pad(constant, ((0, 0), (0, 1)))
    return pixel, constant


def _means(values: NDArray[np.float32]) -> Floats:
    """(n, c) of (n, pixels, c); the sum of several at once by BLAS is faster than `mean`."""
    wide = _rows_of(values, TOGETHER)
    sums = np.ones(wide.shape[1], np.float32) @ wide
    count, pixels, channels = values.shape
    return sums.reshape(count, -1, channels).astype(np.float64).sum(axis=1) / pixels


def _add(values: NDArray[np.float32], constants: NDArray[np.float32]) -> None:
    """Add constants (n, c) to all pixels of values (n, pixels, c)."""
    lines = _rows_of(values, LINE)
    lines += np.tile(constants, lines.shape[2] // values.shape[2])[:, None]


def _multiply(
    values: NDArray[np.float32], matrices: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Multiply matrices (n, c, c) with the pixels of values (n, pixels, c)."""
    count, _, channels = values.shape
    wide = _rows_of(values, TOGETHER)
    _, lines, side = wide.shape
    together = side // channels
    block = np.zeros((count, together, channels, together, channels), np.float32)
    for place in range(together):
        block[:, place, :, place] = matrices.transpose(0, 2, 1)
    band = math.gcd(lines, BAND)
    shape = (count, lines // band, band, side) if band >= BAND // 16 else (count, 1, lines, side)
    np.matmul(wide.reshape(shape), block.reshape(count, 1, side, side), out=out.reshape(shape))


def _rows_of(values: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    """(n, pixels, c) as (n, rows, columns), with as many as `pixels` in a row if they divide so."""
    count, total, channels = values.shape
    together = math.gcd(total, pixels)
    return values.reshape(count, total // together, together * channels)
