"""Resampling by 3×3 matrices: by PIL image by image, by NumPy several small images at once.

For a small image the overhead of a call of PIL exceeds its work. NumPy processes as many images
together as fit into the processor's caches.

There, a pixel is a 64-bit integer of four channels, 16 bits each: they are looked up, weighted and
added for all channels at once. Bilinear interpolation is in whole numbers, in units of 1/256 of a
pixel, and rounds down like `Image.transform` with `BILINEAR`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.arrays import Floats, Pixels, Rows, Size
from kt_tuning.core.pictures import to_pil

# Border -> mode of `numpy.pad`.
BORDERS = {"mirror": "symmetric", "edge": "edge", "wrap": "wrap", "constant": "constant"}
Box = tuple[int, int, int, int]
# How PIL samples, and how many samples a side become one pixel.
INTERPOLATIONS = {
    "nearest": (Image.Resampling.NEAREST, 1),
    "box": (Image.Resampling.NEAREST, 2),
    "bilinear": (Image.Resampling.BILINEAR, 1),
    "bicubic": (Image.Resampling.BICUBIC, 1),
}
# Bilinear, or box where it is faster and as good.
AUTO = "auto"
# Pixels of an image up to which box is neither faster nor as good.
SMALL_PIXELS = 2**13
# Least distance of neighbouring output pixels, in input pixels, at which box is as good.
LEAST_STEP = 0.75
# How far beyond the border, in sides, an image may be looked up: a horizon is infinitely far away.
# Beyond that it is black.
HORIZON = 7
# Pixels of the images that are processed together: about what fits into the processor's caches.
GROUP_PIXELS = 2**14
# The same for images that are only copied.
COPIED_PIXELS = 2**16
Lanes = NDArray[np.uint64]
# In units of 1 / ONE of a pixel.
Places = NDArray[np.int32]
BITS = 8
ONE = 1 << BITS
# Larger distances are clipped to this: the sum of two fits into 32 bits.
FARTHEST = 2.0**29
_LEVELS = np.uint64(0x00FF_00FF_00FF_00FF)


def window(images: Pixels, box: Box, border: str) -> Pixels:
    """Cut a box (left, top, right, bottom) out of images (n, height, width, channels)."""
    left, top, right, bottom = box
    height, width = images.shape[1:3]
    above, before = max(0, -top), max(0, -left)
    margins = ((above, max(0, bottom - height)), (before, max(0, right - width)))
    if margins != ((0, 0), (0, 0)):
        images = np.pad(images, ((0, 0), *margins, (0, 0)), mode=BORDERS[border])  # type: ignore[call-overload]
    return images[:, top + above : bottom + above, left + before : right + before]


def sample(
    image: Image.Image,
    size: tuple[int, ...],
    method: Image.Transform,
    data: Sequence[Any],
    interpolation: str,
) -> Image.Image:
    """Transform an image to (width, height) by `Image.transform`."""
    resampling, samples = INTERPOLATIONS[interpolation]
    dense = (size[0] * samples, size[1] * samples)
    moved = image.transform(dense, method, data, resample=resampling)
    return moved.reduce(samples) if samples > 1 else moved


def coefficients(
    matrices: Floats, starts: NDArray[np.int64], interpolation: str
) -> list[tuple[Image.Transform, list[float]]]:
    """Return method and data of `sample` for images whose first pixels are at `starts` (n, 2)."""
    moved = matrices / [*[INTERPOLATIONS[interpolation][1]] * 2, 1]
    moved[:, :2] -= starts[:, :, None] * moved[:, 2:]
    affine = moved[:, :2].reshape(-1, 6).tolist()
    projective = (moved / moved[:, 2:, 2:]).reshape(-1, 9)[:, :8].tolist()
    return [
        (Image.Transform.AFFINE, straight) if flat else (Image.Transform.PERSPECTIVE, bent)
        for flat, straight, bent in zip(is_affine(matrices), affine, projective, strict=True)
    ]


def is_small(size: tuple[int, ...]) -> bool:
    """Return whether (height, width) has at most `SMALL_PIXELS` pixels."""
    return size[0] * size[1] <= SMALL_PIXELS


def choose(interpolation: str, matrices: Floats, size: Size) -> NDArray[np.str_]:
    """Return the interpolation of each image for an output of (height, width)."""
    if interpolation != AUTO or is_small(size):
        return np.full(len(matrices), "bilinear" if interpolation == AUTO else interpolation)
    steps = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2])))
    return np.where(is_affine(matrices) & (steps >= LEAST_STEP), "box", "bilinear")


def is_affine(matrices: Floats) -> NDArray[np.bool_]:
    """Return which matrices are affine."""
    return np.all(matrices[:, 2] == [0, 0, 1], axis=1)


def keeps_grid(matrices: Floats) -> NDArray[np.bool_]:
    """Return which matrices are flips, quarter turns and shifts by whole pixels."""
    whole = np.all(matrices == np.round(matrices), axis=(1, 2))
    turned = np.abs(matrices[:, :2, :2])
    permuted = np.all(turned.sum(axis=1) == 1, axis=1) & np.all(turned.sum(axis=2) == 1, axis=1)
    return whole & permuted & is_affine(matrices)


def seen_corners(matrices: Floats, size: tuple[int, ...]) -> Floats:
    """Return the corners of the output in the input, (n, 4, 2): clockwise from the top left."""
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    seen = corners @ matrices.transpose(0, 2, 1)
    return seen[:, :, :2] / seen[:, :, 2:]


def resample(
    images: Pixels,
    matrices: Floats,
    rows: Rows,
    border: str,
    interpolation: str,
) -> Iterator[Image.Image]:
    """Yield the images `rows` (m,), resampled by their matrices (m, 3, 3).

    The matrices map output to input coordinates.
    """
    sides = np.array([images.shape[2], images.shape[1]])
    seen = np.nan_to_num(seen_corners(matrices, images.shape[1:3]))
    seen = np.clip(seen, -HORIZON * sides, (1 + HORIZON) * sides)
    # All that PIL looks at to interpolate between these corners: left, top, right, bottom.
    first, last = np.floor(seen.min(axis=1)) - 2, np.ceil(seen.max(axis=1)) + 2
    boxes = np.concatenate([first, last], axis=1).astype(np.int64)
    # Whole lines are not copied when they become an image.
    boxes[:, 0], boxes[:, 2] = np.minimum(boxes[:, 0], 0), np.maximum(boxes[:, 2], sides[0])
    if border == "constant":
        # PIL fills with black by itself.
        boxes = np.clip(boxes, [0, 0, 1, 1], [*(sides - 1), *sides])
    calls = coefficients(matrices, boxes[:, :2], interpolation)
    for row, (left, top, right, bottom), (method, data) in zip(
        rows.tolist(), boxes.tolist(), calls, strict=True
    ):
        image = to_pil(window(images[row : row + 1], (left, top, right, bottom), border)[0])
        yield sample(image, images.shape[2:0:-1], method, data, interpolation)


def groups(rows: Rows, size: Size, pixels: int = GROUP_PIXELS) -> Iterator[Rows | slice]:
    """Split rows of images of this size into groups of about `pixels` pixels.

    Consecutive rows are a slice, which indexes without a copy.
    """
    count = max(1, pixels // (size[0] * size[1]))
    for start in range(0, len(rows), count):
        some = rows[start : start + count]
        consecutive = some[-1] - some[0] == len(some) - 1
        yield slice(int(some[0]), int(some[-1]) + 1) if consecutive else some


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


def interpolate(images: Pixels, matrices: Floats, border: str) -> Lanes:
    """Resample each image by its affine matrix (n, 3, 3) with bilinear interpolation.

    The matrices map output to input coordinates. Returns (n, height, width).
    """
    along = _places(matrices[:, :2, :1], np.arange(images.shape[2]) + 0.5)
    down = _places(matrices[:, :2, 1:2], np.arange(images.shape[1]) + 0.5, matrices[:, :2, 2:])
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


def cut(images: Pixels, matrices: Floats, border: str) -> Pixels:
    """Flip, turn and shift each image by its matrix, one of those that `keeps_grid` finds.

    Returns uint8 (n, height, width, channels), new.
    """
    seen = seen_corners(matrices, images.shape[1:3]).astype(np.int64)
    first, last = seen.min(axis=1), seen.max(axis=1)
    start = first.min(axis=0)
    found = window(images, (*start.tolist(), *last.max(axis=0).tolist()), border)
    boxes = np.concatenate([first - start, last - start], axis=1).tolist()
    mirrored = (matrices[:, :2, :2].sum(axis=2) < 0).tolist()
    swapped = (matrices[:, 0, 0] == 0).tolist()
    moved = np.empty_like(images)
    for place, (left, top, right, bottom) in enumerate(boxes):
        piece = found[place, top:bottom, left:right]
        if mirrored[place][0]:
            piece = piece[:, ::-1]
        if mirrored[place][1]:
            piece = piece[::-1]
        moved[place] = piece.swapaxes(0, 1) if swapped[place] else piece
    return moved
