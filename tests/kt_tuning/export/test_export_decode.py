"""The graph decodes files to the same bytes as training; `decode_image` is the reference."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from image_bytes import COLOUR, GREY, bmp, encode, needs_webp, photo, png
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode_image
from kt_tuning.export.decode import decode_batch

Decoder = Callable[[bytes, PixelFormat], NDArray[np.uint8]]


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


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_bmp(decoder, mode):
    assert_same(decoder, encode(photo(61, 45, mode), "BMP"))


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("top_down", [True, False])
def test_bmp_in_either_order_of_rows(decoder, bits, top_down):
    assert_same(decoder, bmp(bits, top_down=top_down))


@needs_webp
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("options", [{"quality": 70}, {"lossless": True}], ids=str)
def test_webp(decoder, mode, options):
    assert_same(decoder, encode(photo(61, 45, mode), "WEBP", **options))


# --- EXIF orientation ----------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("PNG", "RGBA"), pytest.param("WEBP", "RGB", marks=needs_webp)],
)
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


def test_large_images_are_decoded_band_by_band_and_after_the_others(monkeypatch):
    monkeypatch.setattr("kt_tuning.export.tf_images._BAND", 100)
    monkeypatch.setattr("kt_tuning.export.decode._LARGE", 61 * 45)
    target = PixelFormat(24, 40, 1, bits=12)
    contents = [
        encode(photo(70, 50, "RGBA"), "PNG"),
        encode(photo(61, 45), "JPEG"),
        png(16, 6, channels=4, size=(80, 60)),
        b"no image",
        png(16, 2, channels=3, size=(40, 200)),
    ]
    images, reasons = decode_batch(tf.constant(contents), target)
    assert [reason == b"" for reason in reasons.numpy()] == [True, True, True, False, True]
    for image, content in zip(images, contents, strict=True):
        if content != b"no image":
            np.testing.assert_array_equal(image, decode_image(content, target))
