"""Image files to pixels inside a TensorFlow graph, with the bytes that `kt_tuning.data` gives.

Formats: JPEG, PNG, WebP, GIF (first frame) and BMP. TensorFlow's own decoders are used, and these
kinds of files differ from training, which decodes with Pillow:

* Refused with an error: WebP where TensorFlow lacks its decoder, before 2.20.
* Refused with an error: TIFF and other formats, animated WebP, BMP with a palette of colours, bit
  masks or run lengths. `kt-tuning predict` reads them with Pillow.
* Refused with an error, as in training: images with more pixels than
  `PIL.Image.MAX_IMAGE_PIXELS`, or more than `LONGEST_SIDE` on a side. Their sizes are read before
  anything is decoded.
* Other pixels: transparent pixels of a GIF, and what its first frame leaves free of the canvas, are
  black instead of white; an orientation in XMP alone is ignored; the transparent colour of a grey
  PNG with 2 or 4 bits is applied.
"""

from __future__ import annotations

import tensorflow as tf
from PIL import Image

from kt_tuning.core.records import LONGEST_SIDE, PixelFormat
from kt_tuning.export.tf_images import (
    PADDING,
    by_bands,
    jpeg_exif,
    matches,
    number,
    png_chunk,
    read_bytes,
    resize_bilinear,
    upright,
    webp_exif,
)

DECODES_WEBP = hasattr(tf.image, "decode_webp")
"""Whether this TensorFlow decodes WebP; if not, the export refuses such files."""
_JPEG_RATIOS = (1, 2, 4, 8)

# Index of WebP in the branches that decode.
_WEBP = 4

# Colour types of PNG files.
_GREY_ALPHA, _RGBA = 4, 6

_REFUSED = (
    "Not an image file that can be served. Expected: JPEG, PNG, GIF, WebP (not animated) or BMP "
    "(24 or 32 bits, or 8 bits of grey, uncompressed)."
)
_NO_WEBP = (
    f"TensorFlow {tf.__version__} cannot decode an image in WebP. Expected: JPEG, PNG, GIF or BMP; "
    "or a model that was exported with TensorFlow 2.20 or newer."
)
_TOO_LARGE = (
    "The image has more pixels than the limit, {}. Expected: an image of usual size; a small file "
    "of such a size is likely to be an attack."
)
_TOO_LONG = (
    f"The image has more than {LONGEST_SIDE:,} pixels on a side. Expected: an image of usual size; "
    "a small file of such a size is likely to be an attack."
)
_DAMAGED = "The image file is damaged: it cannot be decoded."

_PARALLEL = 10
"""Images of a batch that are decoded at the same time."""
_LARGE = 1 << 24
"""Pixels of images that are decoded one after the other, each of which takes up to a gigabyte."""


def decode_batch(encoded: tf.Tensor, pixels: PixelFormat) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode image files (N,); one that cannot be decoded does not fail the others.

    In this order: decoding (a JPEG by libjpeg's scaled decoding where it is much larger than
    needed), EXIF orientation, compositing on white, grey levels if `pixels` has one channel,
    resizing with Pillow's bilinear filter without keeping the aspect ratio.

    Returns:
        uint8 (N, height, width, channels), and (N,) strings: why a file cannot be decoded, "" if it
        can. The pixels of the former are zeros.
    """

    @tf.autograph.experimental.do_not_convert
    def look(place: tf.Tensor, one: tf.Tensor) -> tuple[tf.Tensor, ...]:
        data = read_bytes(one)
        kind = _format(data)
        reason, count = _refusal(one, data, kind)
        # A JPEG, the first of the kinds, is usually scaled down while it is decoded.
        return place, kind, reason, tf.where(tf.equal(kind, 0), count // 2, count)

    @tf.autograph.experimental.do_not_convert
    def decode(place: tf.Tensor, kind: tf.Tensor, reason: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image = tf.cond(
            tf.equal(reason, ""),
            lambda: _decode_kind(encoded[place], kind, pixels),
            lambda: tf.zeros(pixels.shape, tf.uint8),
        )
        return place, image, reason

    with tf.device("CPU"):
        total = tf.size(encoded, out_type=tf.int64)
        files = tf.data.Dataset.from_tensor_slices((tf.range(total), encoded))
        places, kinds, reasons, counts = _without_errors(
            files.map(look, num_parallel_calls=_PARALLEL),
            (total, tf.constant(0), tf.constant(""), tf.constant(0, tf.int64)),
        )
        at_once = tf.where(tf.reduce_max(counts) > _LARGE, 1, _PARALLEL)
        files = tf.data.Dataset.from_tensor_slices((places[:-1], kinds[:-1], reasons[:-1]))
        places, images, reasons = _without_errors(
            files.map(decode, num_parallel_calls=tf.cast(at_once, tf.int64)),
            (total, tf.zeros(pixels.shape, tf.uint8), tf.constant("")),
        )
        at, rows = places[:, tf.newaxis], (total + 1)[tf.newaxis]
        shape = tf.concat([rows, tf.constant(pixels.shape, tf.int64)], axis=0)
        pixels_of = tf.ensure_shape(tf.scatter_nd(at, images, shape), (None, *pixels.shape))
        damaged = tf.fill(rows, tf.constant(_DAMAGED))
        return pixels_of[:-1], tf.tensor_scatter_nd_update(damaged, at, reasons)[:-1]


def _without_errors(
    dataset: tf.data.Dataset, blank: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Return the elements of a data set as one batch, without those that raise an error.

    A graph cannot catch the error of a decoder, but a data set can leave out an element.

    Args:
        dataset: Of tuples of tensors.
        blank: One more element, the last one, as a batch must not be empty.
    """
    whole = dataset.ignore_errors().concatenate(tf.data.Dataset.from_tensors(blank))
    options = tf.data.Options()
    # They would take longer than the decoding of a batch.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return whole.batch(tf.int64.max).with_options(options).get_single_element()


def _decode_kind(encoded: tf.Tensor, kind: tf.Tensor, pixels: PixelFormat) -> tf.Tensor:
    """Decode a file that is not refused; `kind` is that of `_format`."""
    data = read_bytes(encoded)
    nothing = tf.zeros([1, 1, 3], tf.uint8)
    image = tf.switch_case(
        kind,
        [
            lambda: _decode_jpeg(encoded, 2 * max(pixels.height, pixels.width)),
            lambda: _decode_png(encoded, data, pixels.bits),
            lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
            lambda: _decode_bmp(encoded),
            lambda: tf.image.decode_webp(encoded)[0] if DECODES_WEBP else nothing,
            lambda: nothing,
        ],
    )
    image = tf.ensure_shape(image, [None, None, None])
    has_alpha = tf.equal(tf.shape(image)[-1], 4)
    image = tf.cond(has_alpha, lambda: by_bands(_on_white, image, 3), lambda: image)
    image = upright(tf.ensure_shape(image, [None, None, 3]), _exif(data, kind))
    if pixels.channels == 1:
        image = by_bands(_grey, image, 1)
    resized = resize_bilinear(image, pixels.height, pixels.width)
    return tf.ensure_shape(resized, pixels.shape)


def _exif(data: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Return the EXIF block of a file, uint8 (n,); n is 0 if there is none."""
    nothing = tf.zeros([0], tf.uint8)
    return tf.switch_case(
        kind,
        [
            lambda: jpeg_exif(data),
            lambda: png_chunk(data, b"eXIf"),
            lambda: nothing,
            lambda: nothing,
            lambda: webp_exif(data),
            lambda: nothing,
        ],
    )


def _format(data: tf.Tensor) -> tf.Tensor:
    """Return the index of the branch that decodes the file; 5 if none does."""
    # An animation is never given to `decode_webp`: TensorFlow 2.21 writes four channels of it into
    # memory for three, and the process crashes.
    is_animated = matches(data, 12, b"VP8X") & tf.equal(number(data, 20) // 2 % 2, 1)
    known = [
        matches(data, 0, b"\xff\xd8\xff"),
        matches(data, 0, b"\x89PNG\r\n\x1a\n"),
        matches(data, 0, b"GIF87a") | matches(data, 0, b"GIF89a"),
        matches(data, 0, b"BM"),
        matches(data, 0, b"RIFF") & matches(data, 8, b"WEBP") & ~is_animated,
    ]
    indices = [tf.where(is_format, index, len(known)) for index, is_format in enumerate(known)]
    return tf.reduce_min(tf.stack(indices))


def _refusal(encoded: tf.Tensor, data: tf.Tensor, kind: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return why a file is not decoded, "" if it is, and its number of pixels, by its header."""
    width, height, readable = tf.switch_case(
        kind,
        [
            lambda: _jpeg_size(encoded),
            lambda: (number(data, 16, 4, big=True), number(data, 20, 4, big=True), True),
            lambda: _gif_size(data),
            lambda: _bmp_size(data),
            lambda: _webp_size(data),
            lambda: (tf.constant(0, tf.int64), tf.constant(0, tf.int64), False),
        ],
    )
    reason = tf.where(readable, "", _REFUSED)
    if not DECODES_WEBP:
        reason = tf.where(tf.equal(kind, _WEBP), _NO_WEBP, reason)
    is_long = tf.maximum(width, height) > LONGEST_SIDE
    reason = tf.where(is_long, _TOO_LONG, reason)
    # The product of refused sides may overflow.
    count = tf.where(is_long, tf.constant(0, tf.int64), width * height)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None:
        reason = tf.where(count > limit, _TOO_LARGE.format(f"{limit:,}"), reason)
    return reason, count


_Size = tuple[tf.Tensor, tf.Tensor, tf.Tensor | bool]
"""Width, height, and whether TensorFlow decodes such a file as Pillow does."""


def _jpeg_size(encoded: tf.Tensor) -> _Size:
    shape = tf.io.extract_jpeg_shape(encoded, tf.int64)
    return shape[1], shape[0], True


def _gif_size(data: tf.Tensor) -> _Size:
    """Return the larger of the canvas and the first frame, which is allocated besides."""
    flags = number(data, 10)
    colours = tf.where(
        flags >= 128, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0
    )
    end = tf.size(data, out_type=tf.int64) - PADDING

    # Extensions precede the first frame: "!", a label, and blocks with their sizes, the last empty.
    def is_block(at: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return (at < end) & (matches(data, at, b"!") | (size > 0))

    def step(at: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = tf.where(size > 0, at, at + 2)
        found = number(data, start)
        return start + 1 + found, found

    at = 13 + colours
    at, _ = tf.while_loop(is_block, step, (at, tf.constant(0, tf.int64)), parallel_iterations=1)
    at = tf.minimum(at, end)
    width, height = number(data, at + 5, 2), number(data, at + 7, 2)
    return tf.maximum(width, number(data, 6, 2)), tf.maximum(height, number(data, 8, 2)), True


def _bmp_size(data: tf.Tensor) -> _Size:
    """TensorFlow ignores palettes, bit masks and compression."""
    header, bits, compression = number(data, 14, 4), number(data, 28, 2), number(data, 30, 4)

    def is_grey() -> tf.Tensor:
        palette = tf.reshape(data[14 + header : 14 + header + 1024], [256, 4])
        return tf.reduce_all(tf.equal(tf.cast(palette[:, :3], tf.int32), tf.range(256)[:, None]))

    is_plain = tf.cond(tf.equal(bits, 8), is_grey, lambda: tf.reduce_any(tf.equal(bits, [24, 32])))
    height = number(data, 22, 4)
    # Negative if the rows run from top to bottom.
    height = tf.where(height < 2**31, height, 2**32 - height)
    return number(data, 18, 4), height, (header >= 40) & tf.equal(compression, 0) & is_plain


def _webp_size(data: tf.Tensor) -> _Size:
    """Source: RFC 9649 for VP8X and VP8L, RFC 6386, section 9.1, for VP8."""
    packed = number(data, 21, 4)
    width, height = packed % 2**14 + 1, packed // 2**14 % 2**14 + 1
    is_lossy = matches(data, 12, b"VP8 ")
    width = tf.where(is_lossy, number(data, 26, 2) % 2**14, width)
    height = tf.where(is_lossy, number(data, 28, 2) % 2**14, height)
    is_extended = matches(data, 12, b"VP8X")
    width = tf.where(is_extended, number(data, 24, 3) + 1, width)
    return width, tf.where(is_extended, number(data, 27, 3) + 1, height), True


def _decode_jpeg(encoded: tf.Tensor, enough: int) -> tf.Tensor:
    """Decode by the largest ratio that leaves the shorter side at `enough` pixels or more."""
    shape = tf.io.extract_jpeg_shape(encoded)
    room = tf.reduce_min(shape[:2]) // enough
    index = tf.reduce_sum(tf.cast(room >= _JPEG_RATIOS[1:], tf.int32))

    def decode(ratio: int) -> tf.Tensor:
        # Pillow's method for the inverse transform; TensorFlow's default is a faster one.
        return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    return tf.switch_case(index, [lambda ratio=ratio: decode(ratio) for ratio in _JPEG_RATIOS])


def _decode_png(encoded: tf.Tensor, data: tf.Tensor, bits: int) -> tf.Tensor:
    """Decode to uint8 (rows, columns, 3), or with alpha (rows, columns, 4)."""

    def decode() -> tf.Tensor:
        return tf.cond(
            _png_has_alpha(data),
            lambda: tf.io.decode_png(encoded, channels=4),
            # Asked for the alpha of an opaque file with fewer than 8 bits, TensorFlow fills in 1,
            # 3 or 15 instead of 255.
            lambda: tf.io.decode_png(encoded, channels=3),
        )

    def deep(channels: int) -> tf.Tensor:
        image = tf.io.decode_png(encoded, channels, tf.uint16)
        return by_bands(lambda band: _high_bytes(band, bits), image, channels)

    if bits == 16:  # TensorFlow keeps the highest byte by itself
        return decode()
    # Pillow reads 16 bits of grey with alpha as 8, so training has not seen the others.
    is_deep = tf.equal(number(data, 24), 16) & tf.not_equal(number(data, 25), _GREY_ALPHA)
    is_clear = tf.equal(number(data, 25), _RGBA)
    return tf.cond(is_deep, lambda: tf.cond(is_clear, lambda: deep(4), lambda: deep(3)), decode)


def _high_bytes(levels: tf.Tensor, bits: int) -> tf.Tensor:
    """Keep the highest 8 of `bits` of uint16 (rows, columns, 3 or 4); of alpha those of 16."""
    wide = tf.cast(levels, tf.int32)
    colour = tf.minimum(tf.bitwise.right_shift(wide[..., :3], bits - 8), 255)
    alpha = tf.bitwise.right_shift(wide[..., 3:], 8)
    return tf.cast(tf.concat([colour, alpha], axis=-1), tf.uint8)


def _png_has_alpha(data: tf.Tensor) -> tf.Tensor:
    bits, colour_type = number(data, 24), number(data, 25)
    # Pillow ignores tRNS where pixels have 16 bits.
    is_transparent = tf.size(png_chunk(data, b"tRNS", before=b"IDAT")) > 0
    return (colour_type >= 4) | (is_transparent & (bits < 16))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_bmp(encoded)
    is_single = tf.equal(tf.shape(image)[-1], 1)
    return tf.cond(is_single, lambda: tf.tile(image, [1, 1, 3]), lambda: image[..., :3])


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
