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

from kt_tuning.augment.apply import Size, carry_out
from kt_tuning.augment.geometric_ops import centre
from kt_tuning.augment.op_kinds import (
    Filter,
    Floats,
    Frame,
    Geometric,
    Linear,
    Pixels,
    Pointwise,
    Rows,
)
from kt_tuning.augment.pil_images import on_colours, to_array, to_pil
from kt_tuning.augment.policy import Policy
from kt_tuning.augment.recolouring import compose, retable
from kt_tuning.augment.rendering import render
from kt_tuning.augment.steps import Draw

# Identities.
_STILL, _PLAIN, _SAME = np.eye(3), np.eye(3, 7), np.arange(256, dtype=np.uint8)


def augment(policy: Policy, images: Pixels, uniforms: Floats, size: Size | None = None) -> Pixels:
    """Apply `policy` to a batch.

    Args:
        policy: The policy.
        images: uint8 (n, height, width, channels): 1 (grey), 3 (RGB) or 4 (RGBA; opacity moves with
            the pixels, colours leave it as it is).
        uniforms: Numbers in [0, 1), (n, policy.draws). Equal numbers give equal results.
        size: (height, width) of the result; by default that of the images. Crops of the policy
            place this window; without crops it is in the middle of the image.

    Returns:
        uint8 (n, *size, channels), new.

    Raises:
        OptionError: if the arrays have another type or shape.
    """
    return carry_out(policy, images, uniforms, size, Fused)


class Fused:
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
        rows = draw.rows
        match draw.op.form:
            case Geometric(matrices=matrices, reframes=reframes):
                frame = self._to(self._size if reframes else self._frame)
                self._move(matrices(draw.amounts, draw.parameters, frame), rows, frame)
            case Linear(matrices=matrices):
                self._settle(rows[self._is_mapped[rows]])
                later = matrices(draw.amounts, draw.parameters)
                self._colour[rows] = compose(later, self._colour[rows])
                self._looks_at_mean[rows] |= later[:, :, 3:6].any(axis=(1, 2))
                self._is_coloured[rows] = True
            case Pointwise(tables=tables):
                earlier = self._table[rows].astype(np.intp)
                self._table[rows] = np.take_along_axis(
                    tables(draw.amounts, draw.parameters), earlier, axis=1
                )
                self._is_mapped[rows] = True
            case Filter(pil=pil):
                pixels = self._settle(rows)
                amounts = draw.amounts.tolist()
                for row, amount, parameters in zip(
                    rows.tolist(), amounts, draw.parameters, strict=True
                ):
                    pixels[row] = to_array(on_colours(pil, to_pil(pixels[row]), amount, parameters))
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
        """Carry out what is collected for `rows`; return the array that has their pixels now."""
        waiting = rows[self._waiting[rows]]
        if len(waiting):
            self._carry_out(waiting)
        return self._result if self._frame == self._size else self._images

    def _carry_out(self, rows: Rows) -> None:
        finished = self._frame == self._size
        if not finished and not self._owned:
            self._images, self._owned = self._images.copy(), True
        arrived = self._arrived[rows]
        for source, some in ((self._result, rows[arrived]), (self._images, rows[~arrived])):
            if not len(some):
                continue
            pixels = self._render(source, some)
            if not finished:
                self._images[some] = pixels
            elif len(some) == len(self._result):
                self._result = pixels
            else:
                self._result[some] = pixels
        self._arrived[rows] = finished
        self._geometry[rows], self._colour[rows], self._table[rows] = _STILL, _PLAIN, _SAME
        for flags in (self._waiting, self._is_coloured, self._looks_at_mean, self._is_mapped):
            flags[rows] = False

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
