"""Resampling of small images, several at once, by NumPy.

For a small image the overhead of a call of PIL exceeds its work. These functions process as many
images together as fit into the processor's caches.

A pixel is a 64-bit integer of four channels, 16 bits each: they are looked up, weighted and added
for all channels at once. Bilinear interpolation is in whole numbers, in units of 1/256 of a pixel,
and rounds down like `Image.transform` with `BILINEAR`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment.arrays import Floats, Pixels, Rows, Size
from kt_tuning.augment.resampling import seen_corners, window

# Images are worked on in groups of about so many pixels, which fit into the processor's caches.
GROUP_PIXELS = 2**14
# Likewise where they are only copied.
COPIED_PIXELS = 2**16
Lanes = NDArray[np.uint64]
# In units of 1 / ONE of a pixel.
Places = NDArray[np.int32]
BITS = 8
ONE = 1 << BITS
# Larger distances are clipped to this: the sum of two fits into 32 bits.
FARTHEST = 2.0**29
_LEVELS = np.uint64(0x00FF_00FF_00FF_00FF)


def groups(rows: Rows, size: Size, pixels: int = GROUP_PIXELS) -> Iterator[Rows]:
    """Split rows of images of this size into groups of about so many pixels."""
    count = max(1, pixels // (size[0] * size[1]))
    for start in range(0, len(rows), count):
        yield rows[start : start + count]


def neighbours(rows: Rows) -> Rows | slice:
    """Return consecutive rows as a slice, which indexes without a copy; other rows unchanged."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def channels_of(lanes: Lanes) -> NDArray[np.uint16]:
    """Return a view with a further axis of 4 channels."""
    return lanes.view(np.uint16).reshape(*lanes.shape, 4)


def fill(channels: NDArray[Any], pixels: Pixels) -> None:
    """Copy the levels of (n, height, width, channels) to as many of 4 channels."""
    # One by one, as NumPy is slow at rows of three.
    for channel in range(pixels.shape[3]):
        channels[..., channel] = pixels[..., channel]


def to_pixels(lanes: Lanes, channels: int) -> Pixels:
    """Convert to uint8 (n, height, width, channels)."""
    pixels = np.empty((*lanes.shape, channels), np.uint8)
    levels = channels_of(lanes)
    for channel in range(channels):
        pixels[..., channel] = levels[..., channel]
    return pixels


def interpolate(images: Pixels, matrices: Floats, size: Size, border: str) -> Lanes:
    """Resample each image by its matrix with bilinear interpolation.

    Args:
        images: (n, height, width, channels).
        matrices: (n, 3, 3), affine, from output to input coordinates.
        size: (height, width) of the output.
        border: Key of `BORDERS`.

    Returns:
        (n, *size).
    """
    along = _places(matrices[:, :2, :1], np.arange(size[1]) + 0.5)
    down = _places(matrices[:, :2, 1:2], np.arange(size[0]) + 0.5, matrices[:, :2, 2:])
    columns, rows = (
        _inside(along[:, axis, None, :] + down[:, axis, :, None], length, border)
        for axis, length in enumerate(images.shape[2:0:-1])
    )
    return _look_up(_framed(images, border), columns, rows)


def _places(steps: Floats, centres: NDArray[Any], starts: Floats | float = 0.0) -> Places:
    """Distances from the edge of the input, (n, 2, m), for a line of m pixels of the output."""
    distances = ONE * (steps * centres + starts)
    return np.rint(np.clip(distances, -FARTHEST, FARTHEST)).astype(np.int32)


def _inside(places: Places, length: int, border: str) -> Places:
    """Distances from the edge of an image as distances from the first pixel's centre in its frame.

    Places beyond the border are mapped inside, or into the frame if that is black.
    """
    end, half = length * ONE, ONE // 2
    if border == "wrap":
        places %= end
    elif border == "mirror":
        if places.min() < -end or places.max() > 2 * end:
            places %= 2 * end
        # From the distance to the near edge, either way, to that to the far edge, and back.
        for _ in range(2):
            np.abs(places, out=places)
            np.subtract(end, places, out=places)
    places += half
    if border == "constant":
        return np.clip(places, 0, end + ONE - 1, out=places)
    # The outer half of the outermost pixel has no other neighbour.
    return places if border == "wrap" else np.clip(places, ONE, end, out=places)


def _framed(images: Pixels, border: str) -> Lanes:
    """Return the images with a border of one pixel on each side."""
    count, height, width = images.shape[:3]
    framed = np.zeros((count, height + 2, width + 2), np.uint64)
    fill(channels_of(framed)[:, 1:-1, 1:-1], images)
    if border == "wrap":
        framed[:, 0], framed[:, -1] = framed[:, -2], framed[:, 1]
        framed[:, :, 0], framed[:, :, -1] = framed[:, :, -2], framed[:, :, 1]
    return framed


def _look_up(framed: Lanes, columns: Places, rows: Places) -> Lanes:
    """Return the weighted sums of the four pixels around each place."""
    line = framed.shape[2]
    starts = framed[0].size * np.arange(len(framed))[:, None, None]
    first = rows >> BITS
    first *= line
    first += columns >> BITS
    first = first + starts
    columns &= ONE - 1
    rows &= ONE - 1
    both = columns * rows
    both >>= BITS
    columns -= both
    rows -= both
    rest = ONE - columns
    rest -= rows
    rest -= both
    pixels = framed.reshape(-1)
    # No place is in the frame's last column or row, so nothing is clipped; it is faster.
    total = np.take(pixels, first, mode="clip")
    total *= rest.astype(np.uint64)
    taken = np.empty_like(total)
    for step, weights in ((1, columns), (line, rows), (line + 1, both)):
        np.take(pixels[step:], first, out=taken, mode="clip")
        taken *= weights.astype(np.uint64)
        total += taken
    total >>= np.uint64(BITS)
    # Clears the bits that were shifted in from the next channel.
    total &= _LEVELS
    return total


def cut(images: Pixels, matrices: Floats, size: Size, border: str) -> Pixels:
    """Flip, turn and shift each image by its matrix, one of those that `keeps_grid` finds.

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
