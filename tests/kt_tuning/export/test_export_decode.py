"""The graph decodes files to the same bytes as training; `decode_image` is the reference."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.errors import DataError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export.decode import decode_batch

Decoder = Callable[[bytes, PixelFormat], NDArray[np.uint8]]

COLOUR = PixelFormat(24, 40, 3)
GREY = PixelFormat(33, 7, 1)


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth on the left, ever more textured to the right."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    smooth = [
        127 + 100 * np.sin(columns / 17 + rows / 31),
        127 + 90 * np.cos(columns / 23 - rows / 13),
        127 + 100 * np.sin((columns + rows) / 41),
    ]
    texture = rng.normal(0, 25, (height, width, 3)) * (columns / width)[..., None]
    pixels = np.clip(np.stack(smooth, axis=-1) + texture, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    alpha = Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16))
    if mode in ("RGBA", "LA"):
        image = image.convert(mode[:-1])
        image.putalpha(alpha)
        return image
    return image.quantize(37) if mode == "P" else image.convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def assert_same(decoder: Decoder, content: bytes, *formats: PixelFormat) -> None:
    for pixels in formats or (COLOUR, GREY):
        np.testing.assert_array_equal(decoder(content, pixels), decode_image(content, pixels))


# --- JPEG ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(
    "size", [(640, 480), (333, 257), (17, 9), (1, 1)], ids="{0[0]}x{0[1]}".format
)
def test_jpeg(decoder, mode, subsampling, size):
    # For 24x40 these are decoded at 1/4, 1/2, 1/1 and 1/1.
    content = encode(photo(*size, mode), "JPEG", quality=85, subsampling=subsampling)
    assert_same(decoder, content)


@pytest.mark.parametrize(("side", "ratio"), [(639, 4), (640, 8), (319, 2), (159, 1)])
def test_jpeg_around_a_change_of_ratio(decoder, side, ratio):
    content = encode(photo(700, side), "JPEG", quality=95)
    assert_same(decoder, content, COLOUR)
    # The ratio in question matters: decoding whole would have given other pixels.
    whole = photo_from(content).resize((40, 24), Image.Resampling.BILINEAR)
    assert np.array_equal(decoder(content, COLOUR), np.asarray(whole)) == (ratio == 1)


def photo_from(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_progressive_jpeg(decoder):
    assert_same(decoder, encode(photo(333, 257), "JPEG", quality=30, progressive=True))


def test_jpeg_that_holds_rgb(decoder):
    assert_same(decoder, encode(photo(333, 257), "JPEG", keep_rgb=True))


# --- PNG -----------------------------------------------------------------------------------


def png(bits: int, colour_type: int, *chunks: tuple[bytes, bytes], channels: int = 1) -> bytes:
    """A PNG file of 37x29 random pixels, with `chunks` before them: Pillow cannot write all."""
    rng = np.random.default_rng(bits + colour_type)
    stride = (37 * bits * channels + 7) // 8
    lines = [b"\0" + rng.bytes(stride) for _ in range(29)]
    header = struct.pack(">IIBBBBB", 37, 29, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "I;16"])
@pytest.mark.parametrize("size", [(333, 257), (40, 24), (7, 33)], ids="{0[0]}x{0[1]}".format)
def test_png(decoder, mode, size):
    assert_same(decoder, encode(photo(*size, mode), "PNG"))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png_of_any_depth(decoder, bits):
    assert_same(decoder, png(bits, 0))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("opaque", [True, False])
def test_palette_png_of_any_depth(decoder, bits, opaque):
    palette = np.random.default_rng(0).bytes(3 * 2**bits)
    # An alpha for the first two entries; the others are opaque.
    chunks = [(b"PLTE", palette)] + ([] if opaque else [(b"tRNS", b"\x00\x80")])
    assert_same(decoder, png(bits, 3, *chunks))


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colour_png_of_16_bits_that_holds_fewer(colour_type, channels):
    content = png(16, colour_type, channels=channels)
    pixels = PixelFormat(24, 40, 3, bits=12)
    decoded = decode_batch(tf.constant([content]), pixels)[0].numpy()[0]
    np.testing.assert_array_equal(decoded, decode_image(content, pixels))
    assert np.array_equal(decoded, decode_image(content, COLOUR)) == (colour_type == 4)


@pytest.mark.parametrize("bits", [8, 12])
def test_grey_png_of_16_bits_that_holds_fewer(bits):
    levels = np.random.default_rng(0).integers(0, 2**bits, (29, 37), dtype=np.uint16)
    levels[0, 0] = 2**16 - 1  # brighter than any training image: white
    contents = [encode(Image.fromarray(levels), "PNG"), encode(photo(37, 29), "PNG")]
    for pixels in (PixelFormat(24, 40, 3, bits), PixelFormat(33, 7, 1, bits)):
        decoded = decode_batch(tf.constant(contents), pixels)[0].numpy()
        expected = np.stack([decode_image(content, pixels) for content in contents])
        np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("bits", [8, 16])
def test_colour_png_of_any_depth(decoder, bits, colour_type, channels):
    assert_same(decoder, png(bits, colour_type, channels=channels))


def test_png_with_a_transparent_colour(decoder):
    image = photo(40, 24).quantize(9)
    colour = image.convert("RGB").getpixel((0, 0))
    assert_same(decoder, encode(image.convert("RGB"), "PNG", transparency=colour))
    assert_same(decoder, encode(photo(40, 24, "L"), "PNG", transparency=127))


# --- GIF, BMP, WebP ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_gif(decoder, mode):
    assert_same(decoder, encode(photo(61, 45, mode), "GIF"))


def test_first_frame_of_an_animated_gif(decoder):
    frames = [photo(61, 45).rotate(angle) for angle in (0, 90, 180)]
    assert_same(decoder, encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_transparent_pixels_of_a_gif_are_black(decoder):
    image = photo(61, 45).quantize(16)
    content = encode(image, "GIF", transparency=1)
    black = np.asarray(image.convert("RGB")) * (np.asarray(image) != 1)[..., None]
    expected = decode_image(encode(Image.fromarray(black.astype(np.uint8)), "PNG"), COLOUR)
    np.testing.assert_array_equal(decoder(content, COLOUR), expected)
    assert not np.array_equal(expected, decode_image(content, COLOUR))


def bmp(bits: int, *, compression: int = 0, top_down: bool = False) -> bytes:
    """A BMP file of 37x29 random pixels; up to 8 bits with a palette of random colours."""
    rng = np.random.default_rng(bits)
    pixels = rng.bytes((37 * bits + 31) // 32 * 4 * 29)
    palette = rng.bytes(4 * 2**bits) if bits <= 8 else b""
    height = -29 if top_down else 29
    info = (40, 37, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *info) + palette + pixels


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_bmp(decoder, mode):
    assert_same(decoder, encode(photo(61, 45, mode), "BMP"))


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("top_down", [True, False])
def test_bmp_in_either_order_of_rows(decoder, bits, top_down):
    assert_same(decoder, bmp(bits, top_down=top_down))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("options", [{"quality": 70}, {"lossless": True}], ids=str)
def test_webp(decoder, mode, options):
    assert_same(decoder, encode(photo(61, 45, mode), "WEBP", **options))


# --- EXIF orientation ----------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")])
def test_orientation(decoder, kind, mode, orientation):
    exif = Image.Exif()
    exif[0x010E] = "a description, so that the orientation is not the only entry"
    exif[0x0112] = orientation
    content = encode(photo(61, 45, mode), kind, exif=exif)
    assert_same(decoder, content)
    upright = decode_image(encode(photo(61, 45, mode), kind), COLOUR)
    assert np.array_equal(decoder(content, COLOUR), upright) == (orientation == 1)


def tiff(order: str, *, tag: int = 0x0112, kind: int = 3, value: int = 6, count: int = 2) -> bytes:
    """An EXIF block: a directory of a software tag and `tag`, `count` said to be its entries."""
    entry = struct.pack(order + "HHI4s", 0x0131, 2, 4, b"me!\0")
    packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    entry += struct.pack(order + "HHI", tag, kind, 1) + packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IH", 8, count) + entry + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", [6, 0, 300])
def test_orientation_in_either_byte_order(decoder, order, kind, value):
    content = png(8, 2, (b"eXIf", tiff(order, kind=kind, value=value)), channels=3)
    assert_same(decoder, content, COLOUR)
    turned = not np.array_equal(decoder(content, COLOUR), decoder(png(8, 2, channels=3), COLOUR))
    assert turned == (value == 6)


@pytest.mark.parametrize(
    "exif",
    [b"", b"II", b"XX*\0" + bytes(40), tiff("<")[:9], tiff("<")[:20], tiff("<", tag=0x0113)]
    + [tiff("<", count=count) for count in (0, 1, 3, 65535)],
    ids=range(10),
)
def test_broken_exif_counts_as_what_can_be_read(decoder, exif):
    assert_same(decoder, png(8, 2, (b"eXIf", exif), channels=3), COLOUR)


def test_jpeg_exif_after_other_segments(decoder):
    content = encode(photo(61, 45), "JPEG")

    def segment(code: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body

    profile = segment(0xE2, bytes(65533)) * 2
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    exif = segment(0xE1, b"Exif\0\0" + tiff(">"))
    turned = content[:2] + profile + xmp + segment(0xFE, b"Exif\0\0") + exif + content[2:]
    assert_same(decoder, turned, COLOUR)
    assert not np.array_equal(decoder(turned, COLOUR), decoder(content, COLOUR))


# --- What cannot be decoded ----------------------------------------------------------------

FRAMES = [photo(20, 20), photo(20, 20).rotate(90)]
REFUSED = {
    "empty": b"",
    "text": b"This is not an image.",
    "one byte": b"\xff",
    "cut JPEG": encode(photo(61, 45), "JPEG")[:400],
    "cut PNG": encode(photo(61, 45), "PNG")[:400],
    "cut GIF": encode(photo(61, 45), "GIF")[:400],
    "cut BMP": encode(photo(61, 45), "BMP")[:400],
    "cut WebP": encode(photo(61, 45), "WEBP")[:400],
    "TIFF": encode(photo(61, 45), "TIFF"),
    "BMP of 16 bits": bmp(16),
    "BMP with a palette": bmp(8),
    "BMP of 4 bits": bmp(4),
    "BMP with masks": bmp(32, compression=3),
    "animated WebP": encode(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_decoded_is_an_error(decoder, content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(content, COLOUR)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("cut", [3, 20, 60])
def test_a_file_cut_in_its_header_is_an_error(decoder, kind, cut):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(encode(photo(61, 45), kind)[:cut], COLOUR)


# --- Decompression bombs -------------------------------------------------------------------


def resized(kind: str, width: int, height: int) -> bytes:
    """A small file whose header states another size."""
    if kind == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        content = png(8, 0)
        at = content.index(b"IHDR")
        crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
        return content[: at + 4] + header + crc + content[at + 21 :]
    content = bytearray(encode(photo(61, 45), kind.removesuffix(" frame")))
    if kind == "JPEG":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
    elif kind == "GIF frame":
        colours = 3 * 2 ** (content[10] % 8 + 1)
        comment = b"!\xfe\x05,,,,,\x00"  # with the byte that begins a frame
        content[13 + colours : 13 + colours] = comment
        at = content.index(b",", 13 + colours + len(comment)) + 5
        content[at : at + 4] = struct.pack("<HH", width, height)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", width, -height)
    else:
        content[26:30] = struct.pack("<HH", width, height)
    return bytes(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "GIF frame", "BMP", "WEBP"])
def test_more_pixels_than_training_takes_are_refused_by_the_header(kind):
    # 10,000 x 9,000 is above Pillow's limit of 89,478,485 pixels, 10,000 x 8,940 below.
    contents = [resized(kind, 10_000, 9_000), resized(kind, 10_000, 8_940)]
    if kind != "GIF frame":
        with pytest.raises(DataError, match="decompression bomb"):
            decode_image(contents[0], COLOUR)
    _, (above, below) = decode_batch(tf.constant(contents), COLOUR)
    assert b"more pixels than the limit, 89,478,485" in above.numpy()
    assert b"more pixels" not in below.numpy()


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"II*\0" + bytes(20)}])
def test_the_size_in_webp_headers_of_other_kinds(options, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 61 * 45 - 1)
    content = encode(photo(61, 45), "WEBP", **options)
    (reason,) = decode_batch(tf.constant([content]), COLOUR)[1]
    assert b"more pixels than the limit, 2,744" in reason.numpy()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 61 * 45)
    assert decode_batch(tf.constant([content]), COLOUR)[1][0].numpy() == b""


# --- Batches -------------------------------------------------------------------------------


def test_a_batch_mixes_formats_and_sizes():
    contents = [
        encode(photo(333, 257), "JPEG"),
        encode(photo(7, 33, "RGBA"), "PNG"),
        encode(photo(61, 45, "P"), "GIF"),
    ]
    images, reasons = decode_batch(tf.constant(contents), COLOUR)
    expected = np.stack([decode_image(content, COLOUR) for content in contents])
    np.testing.assert_array_equal(images, expected)
    assert reasons.numpy().tolist() == [b"", b"", b""]


def test_files_that_cannot_be_decoded_leave_the_others_of_a_batch_alone():
    good = encode(photo(61, 45), "JPEG")
    contents = [b"text", good, encode(photo(61, 45), "PNG")[:400], good, b""]
    images, reasons = decode_batch(tf.constant(contents), COLOUR)
    expected = decode_image(good, COLOUR)
    np.testing.assert_array_equal(images[1], expected)
    np.testing.assert_array_equal(images[3], expected)
    assert not images.numpy()[[0, 2, 4]].any()
    starts = [reason.decode().split(":")[0].split(".")[0] for reason in reasons.numpy()]
    unknown = "Not an image file that can be served"
    assert starts == [unknown, "", "The image file is damaged", "", unknown]


def test_a_batch_without_a_good_file_and_an_empty_one():
    images, reasons = decode_batch(tf.constant([b"text"]), COLOUR)
    assert (images.shape, reasons.shape) == ((1, 24, 40, 3), (1,))
    images, reasons = decode_batch(tf.zeros([0], tf.string), COLOUR)
    assert (images.shape, reasons.shape) == ((0, 24, 40, 3), (0,))
