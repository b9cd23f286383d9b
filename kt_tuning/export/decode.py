"""Image files to pixels inside a TensorFlow graph: the served twin of `kt_tuning.data`.

Training decodes with Pillow, a server with what is here, and both give the same bytes; the tests
compare them. Formats: JPEG, PNG, GIF (first frame), BMP and WebP.

Known limits. Refused with an error: TIFF and other formats, animated WebP, BMP with 16 bits or run
lengths; `kt-tuning predict` decodes those with Pillow. Unlike
Pillow: a GIF frame smaller than its canvas stands on black; an orientation that XMP alone states
is not seen; a transparent colour of a grey PNG with 2 or 4 bits is honoured.
"""

from __future__ import annotations

import tensorflow as tf

from kt_tuning.core.records import PixelFormat
from kt_tuning.export.bmp import decode_bmp, is_readable_bmp
from kt_tuning.export.exif import jpeg_exif, png_exif, upright, webp_exif
from kt_tuning.export.gif import decode_gif
from kt_tuning.export.octets import Step, find, matches, number, octets
from kt_tuning.export.resample import resize_bilinear

_JPEG_RATIOS = (1, 2, 4, 8)

# Colour types of PNG files.
_GREY_ALPHA, _RGBA = 4, 6


def decode_batch(encoded: tf.Tensor, pixels: PixelFormat) -> tf.Tensor:
    """Decode image files to uint8 (N, height, width, channels).

    Args:
        encoded: (N,) strings, each the bytes of one file.
        pixels: The model's input.
    """
    signature = tf.TensorSpec(pixels.shape, tf.uint8)
    with tf.device("CPU"):
        return tf.map_fn(
            lambda one: decode_bytes(one, pixels), encoded, fn_output_signature=signature
        )


def decode_bytes(encoded: tf.Tensor, pixels: PixelFormat) -> tf.Tensor:
    """Decode one image file to the model's input.

    In this order: decoding (a JPEG by libjpeg's scaled decoding where it is much larger than
    needed), EXIF orientation, compositing on white, grey levels if `pixels` has one channel,
    resizing with Pillow's bilinear filter without keeping the aspect.

    Args:
        encoded: Scalar string, the bytes of the file.
        pixels: The model's input.

    Returns:
        uint8 (height, width, channels). A file that cannot be decoded is a
        `tf.errors.InvalidArgumentError` when the graph runs.
    """
    data = octets(encoded)
    image = tf.switch_case(
        _format(data),
        [
            lambda: _decode_jpeg(encoded, data, 2 * max(pixels.height, pixels.width)),
            lambda: _decode_png(encoded, data, pixels.bits),
            lambda: decode_gif(encoded, data),
            lambda: _on_white(decode_bmp(data)),
            lambda: _decode_webp(encoded, data),
            _refuse,
        ],
    )
    image = tf.ensure_shape(image, [None, None, 3])
    if pixels.channels == 1:
        image = _grey(image)
    resized = resize_bilinear(image, pixels.height, pixels.width)
    return tf.ensure_shape(resized, pixels.shape)


def _format(data: tf.Tensor) -> tf.Tensor:
    """Return the index of the branch that decodes the file."""
    known = [
        matches(data, 0, b"\xff\xd8\xff"),
        matches(data, 0, b"\x89PNG\r\n\x1a\n"),
        matches(data, 0, b"GIF87a") | matches(data, 0, b"GIF89a"),
        is_readable_bmp(data),
        matches(data, 0, b"RIFF") & matches(data, 8, b"WEBP") & ~_is_animated_webp(data),
    ]
    indices = [tf.where(is_format, index, len(known)) for index, is_format in enumerate(known)]
    return tf.reduce_min(tf.stack(indices))


def _decode_jpeg(encoded: tf.Tensor, data: tf.Tensor, enough: int) -> tf.Tensor:
    """Decode by the largest ratio that leaves the shorter side at `enough` pixels or more."""
    shape = tf.io.extract_jpeg_shape(encoded)
    room = tf.reduce_min(shape[:2]) // enough
    index = tf.reduce_sum(tf.cast(room >= _JPEG_RATIOS[1:], tf.int32))

    def decode(ratio: int) -> tf.Tensor:
        # Pillow's method for the inverse transform; TensorFlow's default is a faster one.
        return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    branches = [lambda ratio=ratio: decode(ratio) for ratio in _JPEG_RATIOS]
    return upright(tf.switch_case(index, branches), jpeg_exif(data))


def _decode_png(encoded: tf.Tensor, data: tf.Tensor, bits: int) -> tf.Tensor:
    def decode() -> tf.Tensor:
        return tf.cond(
            _png_has_alpha(data),
            lambda: _on_white(tf.io.decode_png(encoded, channels=4)),
            # Asked for alpha that is not there, TensorFlow fills in 1, 3 or 15, not 255, where
            # pixels have fewer than 8 bits.
            lambda: tf.io.decode_png(encoded, channels=3),
        )

    def decode_deep() -> tf.Tensor:
        return tf.cond(
            tf.equal(number(data, 25), _RGBA),
            lambda: _on_white(_high_bytes(tf.io.decode_png(encoded, 4, tf.uint16), bits)),
            lambda: _high_bytes(tf.io.decode_png(encoded, 3, tf.uint16), bits),
        )

    if bits == 16:  # TensorFlow keeps the highest byte by itself
        image = decode()
    else:
        # Pillow reads 16 bits of grey with alpha as 8, so training has not seen the others.
        is_deep = tf.equal(number(data, 24), 16) & tf.not_equal(number(data, 25), _GREY_ALPHA)
        image = tf.cond(is_deep, decode_deep, decode)
    return upright(image, png_exif(data))


def _high_bytes(levels: tf.Tensor, bits: int) -> tf.Tensor:
    """Keep the highest 8 of `bits` of uint16 (rows, columns, 3 or 4); of alpha those of 16."""
    wide = tf.cast(levels, tf.int32)
    colour = tf.minimum(tf.bitwise.right_shift(wide[..., :3], bits - 8), 255)
    alpha = tf.bitwise.right_shift(wide[..., 3:], 8)
    return tf.cast(tf.concat([colour, alpha], axis=-1), tf.uint8)


def _png_has_alpha(data: tf.Tensor) -> tf.Tensor:
    """Return whether a PNG file has an alpha channel, or a tRNS chunk in place of one."""

    def step(position: tf.Tensor) -> Step:
        size = number(data, position, 4, big=True)
        is_transparency = matches(data, position + 4, b"tRNS")
        following = tf.where(
            matches(data, position + 4, b"IDAT"), tf.int64.max, position + 12 + size
        )
        return following, position + 8, tf.where(is_transparency, size, 0)

    bits, colour_type = number(data, 24), number(data, 25)
    # Pillow overlooks tRNS where pixels have 16 bits.
    has_transparency = (bits < 16) & (tf.size(find(data, 8, step)) > 0)
    return (colour_type >= 4) | has_transparency


def _decode_webp(encoded: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    image = tf.image.decode_webp(encoded)[0]
    has_alpha = tf.equal(tf.shape(image)[-1], 4)
    return upright(tf.cond(has_alpha, lambda: _on_white(image), lambda: image), webp_exif(data))


def _is_animated_webp(data: tf.Tensor) -> tf.Tensor:
    # To be kept from `decode_webp`: TensorFlow 2.21 writes four channels of an animation into
    # memory for three and brings the process down.
    is_flagged = tf.equal(number(data, 20) // 2 % 2, 1)
    return matches(data, 12, b"VP8X") & is_flagged


def _refuse() -> tf.Tensor:
    message = (
        "Not an image file that can be served. Expected: JPEG, PNG, GIF, BMP (uncompressed, "
        "not 16-bit) or WebP (not animated)."
    )
    with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
        return tf.zeros([1, 1, 3], tf.uint8)


def _on_white(image: tf.Tensor) -> tf.Tensor:
    """Composite uint8 (rows, columns, 4) on white, rounding to nearest."""
    # At most 255 * 255 + 127: it fits into 16 bits.
    wide = tf.cast(image, tf.uint16)
    colour, alpha = wide[..., :3], wide[..., 3:]
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """Return the ITU-R 601-2 luma of uint8 (rows, columns, 3), in Pillow's fixed point."""
    luma = tf.reduce_sum(tf.cast(image, tf.int32) * [19595, 38470, 7471], axis=2, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(luma + 2**15, 16), tf.uint8)
