"""How a policy is carried out: as few passes over each image as possible.

What is drawn for an image is put off and multiplied up until it has to be done: all geometric
operations become one resampling, then all linear ones one matrix, then all pointwise ones one
table. Colour goes after geometry, which is the same but for rounding; values are rounded and
clipped once, not after every operation. What would not be the same stays in its order: before a
filter everything is carried out; before a resampling, tables and what looks at the image's mean;
before a matrix, tables.
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

# What does nothing.
_STILL, _PLAIN, _SAME = np.eye(3), np.eye(3, 7), np.arange(256, dtype=np.uint8)


def augment(policy: Policy, images: Pixels, uniforms: Floats, size: Size | None = None) -> Pixels:
    """Apply `policy` to a batch.

    Args:
        policy: What to apply.
        images: uint8 (n, height, width, channels): 1 (grey), 3 (RGB) or 4 (RGBA; opacity moves with
            the pixels, colours leave it as it is).
        uniforms: Numbers in [0, 1), (n, policy.draws). Same numbers, same result.
        size: (height, width) of the result, by default as large as the images. The crops of the
            policy place this window, or else it is in the middle of the image.

    Returns:
        uint8 (n, *size, channels), new.

    Raises:
        OptionError: if the arrays are of the wrong kind.
    """
    return carry_out(policy, images, uniforms, size, Fused)


class Fused:
    """Puts operations off and carries them out together.

    Args:
        images: The batch, which is not changed.
        policy: How pixels are looked up.
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
        # Which images are in the result, in its size, and no longer among `_images`.
        self._arrived = np.zeros(count, dtype=bool)
        self._waiting = np.ones(count, dtype=bool)
        self._geometry = np.tile(_STILL, (count, 1, 1))
        self._colour = np.tile(_PLAIN, (count, 1, 1))
        self._table = np.tile(_SAME, (count, 1))
        self._is_coloured, self._looks_at_mean, self._is_mapped = np.zeros((3, count), dtype=bool)

    def apply(self, draw: Draw) -> None:
        """Put an operation off, after what cannot be put off any longer."""
        rows = draw.rows
        match draw.op.form:
            case Geometric(matrices=matrices, reframes=reframes):
                frame = self._to(self._size if reframes else self._frame)
                self._move(matrices(draw.amounts, draw.places, frame), rows, frame)
            case Linear(matrices=matrices):
                self._settle(rows[self._is_mapped[rows]])
                later = matrices(draw.amounts, draw.places)
                self._colour[rows] = compose(later, self._colour[rows])
                self._looks_at_mean[rows] |= later[:, :, 3:6].any(axis=(1, 2))
                self._is_coloured[rows] = True
            case Pointwise(tables=tables):
                earlier = self._table[rows].astype(np.intp)
                self._table[rows] = np.take_along_axis(
                    tables(draw.amounts, draw.places), earlier, axis=1
                )
                self._is_mapped[rows] = True
            case Filter(pil=pil):
                pixels = self._settle(rows)
                amounts = draw.amounts.tolist()
                for row, amount, places in zip(rows.tolist(), amounts, draw.places, strict=True):
                    pixels[row] = to_array(on_colours(pil, to_pil(pixels[row]), amount, places))
                return
        self._waiting[rows] = True

    def pixels(self) -> Pixels:
        """Carry out what is left."""
        if self._frame != self._size:
            self._move(np.empty((0, 3, 3)), np.empty(0, np.intp), self._to(self._size))
        return self._settle(np.arange(len(self._images)))

    def _to(self, size: Size) -> Frame:
        return Frame(self._frame[1], self._frame[0], size[1], size[0])

    def _move(self, matrices: Floats, rows: Rows, frame: Frame) -> None:
        """Put geometry off; if the size changes, it does so for all images."""
        if frame[:2] != frame[2:]:
            every = centre(len(self._images), frame)
            every[rows] = matrices
            matrices, rows = every, np.arange(len(every))
        self._settle(rows[self._looks_at_mean[rows] | self._is_mapped[rows]])
        self._geometry[rows] = self._geometry[rows] @ matrices
        self._frame = (frame.new_height, frame.new_width)
        self._waiting[rows] = True

    def _settle(self, rows: Rows) -> Pixels:
        """Carry out what was put off for `rows`; returns where their pixels are now."""
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
        """The pixels of `rows` with all that waits for them."""
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
