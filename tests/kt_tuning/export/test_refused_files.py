"""Image files that a served model refuses: damaged ones, unknown kinds, decompression bombs."""

from __future__ import annotations

import pytest
import tensorflow as tf
from image_bytes import COLOUR, bmp, encode, needs_webp, photo, resized
from PIL import Image

from kt_tuning.core.errors import DataError
from kt_tuning.data import decode_image
from kt_tuning.export import decode
from kt_tuning.export.decode import decode_batch

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
    with pytest.raises(ValueError, match="image"):
        decoder(content, COLOUR)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("cut", [3, 20, 60])
def test_a_file_cut_in_its_header_is_an_error(decoder, kind, cut):
    with pytest.raises(ValueError, match="image"):
        decoder(encode(photo(61, 45), kind)[:cut], COLOUR)


# --- Decompression bombs -------------------------------------------------------------------


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


@pytest.mark.parametrize("size", [(65_536, 1), (1, 65_536), (2**31 - 1, 2**31 - 1)])
def test_a_line_of_more_pixels_than_a_jpeg_can_have_is_refused(decoder, size):
    with pytest.raises(ValueError, match="more than 65,535 pixels on a side"):
        decoder(resized("PNG", *size), COLOUR)


@needs_webp
@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"II*\0" + bytes(20)}])
def test_the_size_in_webp_headers_of_other_kinds(options, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 61 * 45 - 1)
    content = encode(photo(61, 45), "WEBP", **options)
    (reason,) = decode_batch(tf.constant([content]), COLOUR)[1]
    assert b"more pixels than the limit, 2,744" in reason.numpy()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 61 * 45)
    assert decode_batch(tf.constant([content]), COLOUR)[1][0].numpy() == b""


def test_webp_is_refused_by_name_where_tensorflow_cannot_decode_it(monkeypatch):
    monkeypatch.setattr(decode, "DECODES_WEBP", False)
    files = [encode(photo(61, 45), kind) for kind in ("WEBP", "PNG")]
    images, (webp, png_file) = decode_batch(tf.constant(files), COLOUR)
    assert f"TensorFlow {tf.__version__} cannot decode an image in WebP" in webp.numpy().decode()
    assert png_file.numpy() == b""
    assert not images[0].numpy().any()
