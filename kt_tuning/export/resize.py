"""Resizing inside a TensorFlow graph, with the bytes of Pillow's bilinear filter."""

from __future__ import annotations

import tensorflow as tf

# Pillow's fixed point: 32 bits, less 8 for a pixel and 2 for overflow.
_FRACTION_BITS = 32 - 8 - 2


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

    def resized() -> tf.Tensor:
        planes = tf.transpose(image, [2, 0, 1])
        turned = tf.transpose(_resample(planes, width), [0, 2, 1])
        return tf.transpose(_resample(turned, height), [2, 1, 0])

    is_unchanged = tf.equal(rows, height) & tf.equal(columns, width)
    return tf.cond(is_unchanged, lambda: image, resized)


def _resample(planes: tf.Tensor, target: int) -> tf.Tensor:
    """Resample the last axis of uint8 (channels, lines, size) to `target`."""
    weights = _weights(tf.shape(planes)[2], target)

    def resampled(plane: tf.Tensor) -> tf.Tensor:
        sums = tf.matmul(tf.cast(plane, tf.float64), weights, transpose_b=True)
        return tf.cast(tf.floor(sums * 2.0**-_FRACTION_BITS + 0.5), tf.uint8)

    # One channel after the other: in float64 a 12-megapixel image takes 300 MB in one piece.
    return tf.map_fn(resampled, planes, parallel_iterations=1)


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
