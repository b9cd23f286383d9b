"""Fused application of a policy: as few passes over each image as possible.

Operations are collected and multiplied until they have to be carried out: all geometric operations
become one resampling, then all linear ones one matrix, then all pointwise ones one table. Colour
operations move behind geometric ones, which changes only the rounding; values are rounded and
clipped once, not after every operation. Operations that do not commute keep their order: before a
filter everything is carried out; before a resampling, tables and matrices that use the mean of the
image; before a matrix, tables.
"""

from __future__ import annotations

import numpy as np

from kt_tuning.augment.arrays import (
    Floats,
    Frame,
    Pixels,
    Rows,
    check_batch,
    to_array,
    to_pil,
)
from kt_tuning.augment.policy import Policy
from kt_tuning.augment.rendering import compose, render, retable
from kt_tuning.augment.steps import AugMix, Draw

# Identities.
_STILL, _PLAIN, _SAME = np.eye(3), np.eye(3, 7), np.arange(256, dtype=np.uint8)


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
        if len(rows) == len(self._images):
            self._images, self._is_copy = self._render(self._images, rows), True
        else:
            self._copy()
            self._images[rows] = self._render(self._images[rows], rows)
        self._geometry[rows], self._colour[rows], self._table[rows] = _STILL, _PLAIN, _SAME
        for each in flags:
            each[rows] = False

    def _render(self, images: Pixels, rows: Rows) -> Pixels:
        """Return the images, which are those of `rows`, after all collected operations."""
        pixels = render(
            images,
            self._geometry[rows],
            self._colour[rows],
            coloured=self._is_coloured[rows],
            border=self._policy.border,
            interpolation=self._policy.interpolation,
        )
        retable(pixels, self._table[rows], np.flatnonzero(self._is_mapped[rows]))
        return pixels
