"""Parts of decoding inside a TensorFlow graph: bytes, chunks, the EXIF orientation, resizing.

Positions are int64 scalars. TensorFlow's decoders ignore the EXIF orientation, which training
applies by `PIL.ImageOps.exif_transpose`. Not read, unlike there: an orientation in XMP alone.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# Zeros after the end: reads of a fixed size near the end of a broken file stay inside.
PADDING = 64

_EXIF_HEADER = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_ENTRY_SIZE = 12

# Pillow's fixed point: 32 bits, less 8 for a pixel and 2 for overflow.
_FRACTION_BITS = 32 - 8 - 2
_BAND = 1 << 20
"""Pixels of a band of rows."""

# The next position, and the start and size of what was found; size 0 if it is not there.
_Step = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def read_bytes(encoded: tf.Tensor) -> tf.Tensor:
    """Return the bytes of a scalar string as uint8 (size + 64,); the last 64 are zeros."""
    return tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros(PADDING, tf.uint8)], axis=0)


def number(data: tf.Tensor, at: tf.Tensor | int, size: int = 1, *, big: bool = False) -> tf.Tensor:
    """Return the unsigned integer of `size` bytes at `at`, little-endian unless `big`, as int64."""
    powers = [256**place for place in range(size)]
    if big:
        powers.reverse()
    return tf.reduce_sum(tf.cast(data[at : at + size], tf.int64) * powers)


def matches(data: tf.Tensor, at: tf.Tensor | int, expected: bytes) -> tf.Tensor:
    """Return whether the bytes at `at` are `expected`."""
    return tf.reduce_all(tf.equal(data[at : at + len(expected)], list(expected)))


def png_chunk(data: tf.Tensor, kind: bytes, *, before: bytes = b"IEND") -> tf.Tensor:
    """Return the content of the first chunk of a kind, uint8 (n,); n is 0 if there is none.

    Args:
        data: The output of `read_bytes` for a PNG file.
        kind: Four letters.
        before: Kind of the chunk at which the search ends.
    """

    def step(position: tf.Tensor) -> _Step:
        size = number(data, position, 4, big=True)
        is_last = matches(data, position + 4, before)
        following = tf.where(is_last, tf.int64.max, position + 12 + size)
        return following, position + 8, tf.where(matches(data, position + 4, kind), size, 0)

    return _find(data, 8, step)


def webp_exif(data: tf.Tensor) -> tf.Tensor:
    """Return the EXIF block of a WebP file, uint8 (n,); n is 0 if there is none."""

    def step(position: tf.Tensor) -> _Step:
        size = number(data, position + 4, 4)
        is_exif = matches(data, position, b"EXIF")
        # Chunks start at even positions.
        return position + 8 + size + size % 2, position + 8, tf.where(is_exif, size, 0)

    return _find(data, 12, step)


def jpeg_exif(data: tf.Tensor) -> tf.Tensor:
    """Return the EXIF block of a JPEG file, uint8 (n,); n is 0 if there is none.

    Only the application segments and comments at the start of the file are searched.
    """

    def step(position: tf.Tensor) -> _Step:
        code = data[position + 1]
        is_leading = ((code >= 0xE0) & (code <= 0xEF)) | tf.equal(code, 0xFE)
        size = number(data, position + 2, 2, big=True)
        is_exif = tf.equal(code, 0xE1) & matches(data, position + 4, _EXIF_HEADER)
        following = tf.where(is_leading, position + 2 + size, tf.int64.max)
        return following, position + 4, tf.where(is_exif, size - 2, 0)

    return _find(data, 2, step)


def upright(image: tf.Tensor, exif: tf.Tensor) -> tf.Tensor:
    """Turn and mirror `image`, (rows, columns, channels), by the orientation in its EXIF block."""
    value = tf.cond(tf.size(exif) > 0, lambda: _orientation(exif), lambda: tf.constant(1, tf.int64))
    turned = tf.cond(
        (value >= 5) & (value <= 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image
    )
    rows = tf.reduce_any(tf.equal(value, [3, 4, 7, 8]))
    columns = tf.reduce_any(tf.equal(value, [2, 3, 6, 7]))
    return tf.raw_ops.Reverse(tensor=turned, dims=tf.stack([rows, columns, False]))


def _orientation(exif: tf.Tensor) -> tf.Tensor:
    """Return the orientation in an EXIF block, int64; 1 if there is none.

    The block is a TIFF file: "II" or "MM" (the byte order), 42, the position of the first
    directory; there a count of entries, and entries of tag, type, count and value.
    Source: CIPA DC-008 (Exif 2.32), section 4.6.
    """
    # Zeros replace the missing bytes of a truncated block.
    padded = tf.concat([exif, tf.zeros(len(_EXIF_HEADER) + 8, tf.uint8)], axis=0)
    tiff = padded[tf.where(matches(padded, 0, _EXIF_HEADER), len(_EXIF_HEADER), 0) :]
    is_big = matches(tiff, 0, b"MM\0*")
    is_tiff = is_big | matches(tiff, 0, b"II*\0")

    def value(data: tf.Tensor, size: int) -> tf.Tensor:
        """Return the integers of `size` bytes in the last axis, in the block's byte order."""
        ordered = tf.where(is_big, tf.reverse(data, axis=[-1]), data)
        return tf.reduce_sum(tf.cast(ordered, tf.int64) * [256**n for n in range(size)], axis=-1)

    last = tf.size(tiff, out_type=tf.int64) - 2
    start = tf.minimum(value(tiff[4:8], 4), last)
    count = value(tiff[start : start + 2], 2)
    table = tiff[start + 2 : start + 2 + count * _ENTRY_SIZE]
    whole = tf.size(table) // _ENTRY_SIZE
    entries = tf.reshape(table[: whole * _ENTRY_SIZE], [whole, _ENTRY_SIZE])
    # A value is a SHORT, in the first two of the four bytes, or a LONG, which some writers use.
    kind = value(entries[:, 2:4], 2)[:, tf.newaxis]
    values = tf.stack([value(entries[:, 8 : 8 + size], size) for size in (2, 4)], axis=1)
    stated = tf.reduce_sum(tf.where(tf.equal(kind, [3, 4]), values, 0), axis=1)
    is_orientation = tf.equal(value(entries[:, :2], 2), _ORIENTATION_TAG) & is_tiff
    return tf.concat([stated[is_orientation], [1]], axis=0)[0]


def _find(data: tf.Tensor, start: int, step: Callable[[tf.Tensor], _Step]) -> tf.Tensor:
    """Return the bytes that `step` finds, uint8 (n,), from position to position; n may be 0."""
    nothing = tf.constant(0, tf.int64)
    end = tf.size(data, out_type=tf.int64) - PADDING
    _, found, size = tf.while_loop(
        lambda position, _, size: (position < end) & tf.equal(size, 0),
        lambda position, *_: step(position),
        (tf.constant(start, tf.int64), nothing, nothing),
        parallel_iterations=1,
    )
    return data[found : found + size]


def resize_bilinear(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resize by an antialiased triangle filter, with the bytes of Pillow's BILINEAR filter.

    Columns are resized before rows, each pass rounding to bytes. A server that resized a little
    differently from training would shift every prediction a little.

    Args:
        image: uint8 (rows, columns, channels), sizes known only at run time.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 (height, width, channels).

    Source: Pillow, `src/libImaging/Resample.c`.
    """
    rows, columns = tf.unstack(tf.shape(image)[:2])

    def turned(image: tf.Tensor) -> tf.Tensor:
        return tf.transpose(image, [1, 0, 2])

    # With equal sizes, each pixel's only weight is its own.
    narrow = tf.cond(tf.equal(columns, width), lambda: image, lambda: _resample(image, width))
    return tf.cond(
        tf.equal(rows, height),
        lambda: narrow,
        lambda: turned(_resample(turned(narrow), height)),
    )


def by_bands(
    convert: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor, channels: int | None
) -> tf.Tensor:
    """Apply a function to bands of rows, one after the other, and join the results.

    As a whole, an image near the limit of its size takes gigabytes in 16, 32 or 64 bits.

    Args:
        convert: Function of (rows, columns, …) that returns uint8 (rows, any, `channels`).
        image: (rows, columns, …), sizes known only at run time.
        channels: Of the results, if they are known.
    """
    rows, columns = tf.unstack(tf.shape(image)[:2])
    most = tf.maximum(_BAND // tf.maximum(columns, 1), 1)
    count = (rows + most - 1) // most

    def step(number: tf.Tensor, bands: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        start = number * most
        return number + 1, bands.write(number, convert(image[start : start + most]))

    shape = [None, None, channels]
    bands = tf.TensorArray(tf.uint8, count, infer_shape=False, element_shape=shape)
    _, bands = tf.while_loop(
        lambda number, _: number < count, step, (0, bands), parallel_iterations=1
    )
    return bands.concat()


def _resample(image: tf.Tensor, target: int) -> tf.Tensor:
    """Resample the second axis of uint8 (lines, size, channels) to `target`."""
    weights = _weights(tf.shape(image)[1], target)

    def resampled(band: tf.Tensor) -> tf.Tensor:
        planes = tf.cast(tf.transpose(band, [2, 0, 1]), tf.float64)
        sums = tf.matmul(planes, weights, transpose_b=True)
        rounded = tf.cast(tf.floor(sums * 2.0**-_FRACTION_BITS + 0.5), tf.uint8)
        return tf.transpose(rounded, [1, 2, 0])

    return by_bands(resampled, image, image.shape[2])


def _weights(size: tf.Tensor, target: int) -> tf.Tensor:
    """Return (target, size) fixed-point weights: whole numbers, held in float64.

    A triangle of half-width max(size / target, 1) around each target pixel's centre, normalised:

        w[i, j] = max(0, 1 - |j + 1/2 - (i + 1/2) scale| / max(scale, 1)),  scale = size / target

    The exact fraction has a denominator of about 2 size max(scale, 1), too small for the last bit
    of a double, and so the order of summation, to change how it is rounded. The products that
    follow stay below 2**53, hence float64 is exact; TensorFlow multiplies matrices of integers
    more slowly. A row's sum is off by much less than the 1 in 510 that would lift 255 to 256.
    """
    scale = tf.cast(size, tf.float64) / target
    centres = (tf.range(target, dtype=tf.float64) + 0.5) * scale
    positions = tf.cast(tf.range(size), tf.float64) + 0.5
    distances = tf.abs(positions - centres[:, tf.newaxis]) / tf.maximum(scale, 1)
    triangle = tf.nn.relu(1 - distances)
    normalised = triangle / tf.reduce_sum(triangle, axis=1, keepdims=True)
    return tf.floor(normalised * 2**_FRACTION_BITS + 0.5)
