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
    Size,
    check_batch,
    to_array,
    to_pil,
)
from kt_tuning.augment.geometric_ops import centre
from kt_tuning.augment.policy import Policy
from kt_tuning.augment.rendering import compose, render, retable
from kt_tuning.augment.steps import AugMix, Draw
from kt_tuning.core.errors import OptionError

# Identities.
_STILL, _PLAIN, _SAME = np.eye(3), np.eye(3, 7), np.arange(256, dtype=np.uint8)


def augment(policy: Policy, images: Pixels, uniforms: Floats, size: Size | None = None) -> Pixels:
    """Apply `policy` to a batch.

    Args:
        policy: The policy.
        images: uint8 (n, height, width, channels): 1 (grey) or 3 (RGB).
        uniforms: Numbers in [0, 1), (n, policy.draws). Equal numbers give equal results.
        size: (height, width) of the result; by default that of the images. Crops of the policy
            place this window; without crops it is in the middle of the image.

    Returns:
        uint8 (n, *size, channels), new.

    Raises:
        OptionError: if the arrays have another type or shape.
    """
    check_batch(images, uniforms, policy.draws)
    policy.check(images.shape[1:])
    if size is None:
        size = images.shape[1], images.shape[2]
    elif len(size) != 2 or min(size) < 1:
        raise OptionError(f"`size` is (height, width) in pixels. Received: size={size!r}")
    uniforms = uniforms.astype(np.float64, copy=False)
    rows = np.arange(len(images))
    fused = _Fused(images, policy, size)
    column = 0
    for step in policy.steps:
        numbers = uniforms[:, column : column + step.draws]
        column += step.draws
        if isinstance(step, AugMix):
            fused = _Fused(_mix_chains(step, numbers, policy, fused.pixels()), policy, size)
        else:
            for draw in step.draw(rows, numbers):
                fused.apply(draw)
    return fused.pixels()


def _mix_chains(step: AugMix, numbers: Floats, policy: Policy, images: Pixels) -> Pixels:
    """Average images with their chains of operations."""
    weights = step.weights(numbers).astype(np.float32)[:, :, None, None, None]
    total = weights[:, 0] * images
    for number, chain in enumerate(step.chains(np.arange(len(images)), numbers), start=1):
        fused = _Fused(images, policy, (images.shape[1], images.shape[2]))
        for draw in chain:
            fused.apply(draw)
        total += weights[:, number] * fused.pixels()
    return (total + np.float32(0.5)).astype(np.uint8)


class _Fused:
    """Collects operations and carries them out together.

    Args:
        images: The batch, which is not changed.
        policy: Gives the border and the interpolation.
        size: (height, width) of the result.
    """

    def __init__(self, images: Pixels, policy: Policy, size: Size) -> None:
        count = len(images)
        self._policy = policy
        self._size = size
        self._frame: Size = (images.shape[1], images.shape[2])
        self._images = images
        self._owned = False
        self._result = np.empty((count, *size, images.shape[3]), np.uint8)
        # Which images are in the result already, in its size.
        self._arrived = np.zeros(count, dtype=bool)
        self._waiting = np.ones(count, dtype=bool)
        self._geometry = np.tile(_STILL, (count, 1, 1))
        self._colour = np.tile(_PLAIN, (count, 1, 1))
        self._table = np.tile(_SAME, (count, 1))
        self._is_coloured, self._looks_at_mean, self._is_mapped = np.zeros((3, count), dtype=bool)

    def apply(self, draw: Draw) -> None:
        """Collect an operation, after carrying out those that it does not commute with."""
        op, rows = draw.op, draw.rows
        if op.kind == "geometric":
            frame = self._to(self._size if op.crops else self._frame)
            self._move(op.function(draw.amounts, draw.parameters, frame), rows, frame)
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
            pixels = self._settle(rows)
            numbers = zip(rows.tolist(), draw.amounts.tolist(), draw.parameters, strict=True)
            for row, amount, parameters in numbers:
                pixels[row] = to_array(op.function(to_pil(pixels[row]), amount, parameters))
            return
        self._waiting[rows] = True

    def pixels(self) -> Pixels:
        """Carry out the remaining operations and return the images."""
        if self._frame != self._size:
            self._move(np.empty((0, 3, 3)), np.empty(0, np.intp), self._to(self._size))
        return self._settle(np.arange(len(self._images)))

    def _to(self, size: Size) -> Frame:
        return Frame(self._frame[1], self._frame[0], size[1], size[0])

    def _move(self, matrices: Floats, rows: Rows, frame: Frame) -> None:
        """Collect a geometric operation; a change of size concerns all images."""
        if frame[:2] != frame[2:]:
            every = centre(len(self._images), frame)
            every[rows] = matrices
            matrices, rows = every, np.arange(len(every))
        self._settle(rows[self._looks_at_mean[rows] | self._is_mapped[rows]])
        self._geometry[rows] = self._geometry[rows] @ matrices
        self._frame = (frame.new_height, frame.new_width)
        self._waiting[rows] = True

    def _settle(self, rows: Rows) -> Pixels:
        """Carry out the operations collected for `rows`; return the array of their pixels."""
        rows = rows[self._waiting[rows]]
        finished = self._frame == self._size
        if not len(rows):
            return self._result if finished else self._images
        if not finished and not self._owned:
            # Operations before a crop to another size change the images in their own size.
            self._images, self._owned = self._images.copy(), True
        target = self._result if finished else self._images
        arrived = self._arrived[rows]
        for source, some in ((self._result, rows[arrived]), (self._images, rows[~arrived])):
            if len(some) == len(target):
                target = self._render(source, some)
            elif len(some):
                target[some] = self._render(source, some)
        if finished:
            self._result = target
        else:
            self._images = target
        self._arrived[rows] = finished
        self._geometry[rows], self._colour[rows], self._table[rows] = _STILL, _PLAIN, _SAME
        for flags in (self._waiting, self._is_coloured, self._looks_at_mean, self._is_mapped):
            flags[rows] = False
        return target

    def _render(self, source: Pixels, rows: Rows) -> Pixels:
        """Return the pixels of `rows` after all collected operations."""
        pixels = render(
            source if len(rows) == len(source) else source[rows],
            self._geometry[rows],
            self._colour[rows],
            coloured=self._is_coloured[rows],
            size=self._frame,
            border=self._policy.border,
            interpolation=self._policy.interpolation,
        )
        retable(pixels, self._table[rows], np.flatnonzero(self._is_mapped[rows]))
        return pixels
