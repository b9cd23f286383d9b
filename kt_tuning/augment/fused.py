"""Fused application of a policy: as few passes over each image as possible.

Operations are collected and multiplied until they have to be carried out: all geometric operations
become one resampling, then all linear ones one matrix, then all pointwise ones one table. Colour
operations move behind geometric ones, which changes only the rounding; values are rounded and
clipped once, not after every operation. Operations that do not commute keep their order: before a
filter everything is carried out; before a resampling, tables and matrices that use the mean of the
image; before a matrix, tables.

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

from kt_tuning.augment.arrays import (
    Floats,
    Frame,
    Pixels,
    Rows,
    Size,
    check_batch,
    mean_colour,
)
from kt_tuning.augment.pixel_ops import LUMA
from kt_tuning.augment.policy import Policy
from kt_tuning.augment.resampling import (
    COPIED_PIXELS,
    channels_of,
    choose,
    cut,
    fill,
    groups,
    interpolate,
    is_affine,
    is_small,
    keeps_grid,
    resample,
    to_pixels,
)
from kt_tuning.augment.steps import AugMix, Draw
from kt_tuning.core.pictures import to_array, to_pil

# Identities.
_STILL, _PLAIN, _SAME = np.eye(3), np.eye(3, 7), np.arange(256, dtype=np.uint8)
# Pixels that are summed as one row: NumPy is slow at rows of 4 values.
LINE = 16


def augment(policy: Policy, images: Pixels, uniforms: Floats) -> Pixels:
    """Apply `policy` to a batch.

    Args:
        policy: The policy.
        images: uint8 (n, height, width, channels): 1 (grey) or 3 (RGB).
        uniforms: Numbers in [0, 1), (n, policy.draws). Equal numbers give equal results.

    Returns:
        uint8 (n, height, width, channels), new.

    Raises:
        OptionError: if the arrays have another type or shape.
    """
    check_batch(images, uniforms, policy.draws)
    policy.check(images.shape[1:])
    uniforms = uniforms.astype(np.float64, copy=False)
    rows = np.arange(len(images))
    fused = _Fused(images, policy)
    column = 0
    for step in policy.steps:
        numbers = uniforms[:, column : column + step.draws]
        column += step.draws
        if isinstance(step, AugMix):
            fused = _Fused(_mix_chains(step, numbers, policy, fused.pixels()), policy)
        else:
            for draw in step.draw(rows, numbers):
                fused.apply(draw)
    return fused.pixels()


def _mix_chains(step: AugMix, numbers: Floats, policy: Policy, images: Pixels) -> Pixels:
    """Average images with their chains of operations."""
    weights = step.weights(numbers).astype(np.float32)[:, :, None, None, None]
    total = weights[:, 0] * images
    for number, chain in enumerate(step.chains(np.arange(len(images)), numbers), start=1):
        fused = _Fused(images, policy)
        for draw in chain:
            fused.apply(draw)
        total += weights[:, number] * fused.pixels()
    return (total + np.float32(0.5)).astype(np.uint8)


class _Fused:
    """Collects operations and carries them out together.

    Args:
        images: The batch, which is not changed.
        policy: Gives the border and the interpolation.
    """

    def __init__(self, images: Pixels, policy: Policy) -> None:
        count = len(images)
        self._policy = policy
        self._frame = Frame(images.shape[2], images.shape[1])
        self._images = images
        self._is_copy = False
        self._geometry = np.tile(_STILL, (count, 1, 1))
        self._colour = np.tile(_PLAIN, (count, 1, 1))
        self._table = np.tile(_SAME, (count, 1))
        self._is_moved, self._is_coloured, self._is_mapped = np.zeros((3, count), dtype=bool)
        self._looks_at_mean = np.zeros(count, dtype=bool)

    def apply(self, draw: Draw) -> None:
        """Collect an operation, after carrying out those that it does not commute with."""
        op, rows = draw.op, draw.rows
        if op.kind == "geometric":
            self._settle(rows[self._looks_at_mean[rows] | self._is_mapped[rows]])
            matrices = op.function(draw.amounts, draw.parameters, self._frame)
            self._geometry[rows] = self._geometry[rows] @ matrices
            self._is_moved[rows] = True
        elif op.kind == "linear":
            self._settle(rows[self._is_mapped[rows]])
            later = op.function(draw.amounts, draw.parameters)
            self._colour[rows] = compose(later, self._colour[rows])
            self._looks_at_mean[rows] |= later[:, :, 3:6].any(axis=(1, 2))
            self._is_coloured[rows] = True
        elif op.kind == "pointwise":
            earlier = self._table[rows].astype(np.intp)
            tables = op.function(draw.amounts, draw.parameters)
            self._table[rows] = np.take_along_axis(tables, earlier, axis=1)
            self._is_mapped[rows] = True
        else:
            self._settle(rows)
            self._copy()
            numbers = zip(rows.tolist(), draw.amounts.tolist(), draw.parameters, strict=True)
            for row, amount, parameters in numbers:
                image = to_pil(self._images[row])
                self._images[row] = to_array(op.function(image, amount, parameters))

    def pixels(self) -> Pixels:
        """Carry out the remaining operations and return the images."""
        self._settle(np.arange(len(self._images)))
        self._copy()
        return self._images

    def _copy(self) -> None:
        """Copy the images, unless that was done."""
        if not self._is_copy:
            self._images, self._is_copy = self._images.copy(), True

    def _settle(self, rows: Rows) -> None:
        """Carry out the operations collected for `rows`."""
        flags = (self._is_moved, self._is_coloured, self._looks_at_mean, self._is_mapped)
        rows = rows[np.logical_or.reduce(flags)[rows]]
        if not len(rows):
            return
        whole = len(rows) == len(self._images)
        pixels = render(
            self._images if whole else self._images[rows],
            self._geometry[rows],
            self._colour[rows],
            coloured=self._is_coloured[rows],
            border=self._policy.border,
            interpolation=self._policy.interpolation,
        )
        retable(pixels, self._table[rows], np.flatnonzero(self._is_mapped[rows]))
        if whole:
            self._images, self._is_copy = pixels, True
        else:
            self._copy()
            self._images[rows] = pixels
        self._geometry[rows], self._colour[rows], self._table[rows] = _STILL, _PLAIN, _SAME
        for each in flags:
            each[rows] = False


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
        for some in groups(np.flatnonzero(together & (coloured == recoloured)), size):
            lanes = interpolate(images[some], geometry[some], border)
            if recoloured:
                levels = channels_of(lanes).astype(np.float32)
                rendered[some] = recolour_levels(levels, colour[some], channels)
            else:
                rendered[some] = to_pixels(lanes, channels)
    for some in groups(np.flatnonzero(exact), size, COPIED_PIXELS):
        rendered[some] = cut(images[some], geometry[some], border)
    for some in groups(np.flatnonzero(exact & coloured & small), size):
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


def recolour(pixels: Pixels, matrices: Floats) -> Pixels:
    """Apply colour matrices (n, 3, 7) to small images, and round and clip once."""
    values = np.zeros((*pixels.shape[:3], 4), np.float32)
    fill(values, pixels)
    return recolour_levels(values, matrices, pixels.shape[3])


def recolour_levels(levels: NDArray[np.float32], matrices: Floats, channels: int) -> Pixels:
    """Do the same as `recolour` to levels (n, height, width, 4), which are overwritten."""
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
