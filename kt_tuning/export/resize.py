"""Resizing inside a TensorFlow graph, with the bytes of Pillow's bilinear filter."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# Pillow's fixed point: 32 bits, less 8 for a pixel and 2 for overflow.
_FRACTION_BITS = 32 - 8 - 2
_BAND = 1 << 20
"""Pixels of a band of rows."""


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
