from __future__ import annotations

import contextlib
import importlib.metadata
import io
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_bytes import encode, photo, png
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import decode as decode_module
from kt_tuning.data.decode import (
    decode,
    decode_image,
    draft_ratio,
    quiet_pillow,
    upright_size,
)

Save = Callable[..., Path]

#: 2 rows, 3 columns, all different
PICTURE = np.array([[10, 50, 90], [130, 170, 210]], np.uint8)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif"])
def test_lossless_formats_come_back_exactly(save: Save, suffix: str) -> None:
    pixels = decode_image(save(f"a.{suffix}", PICTURE), PixelFormat(2, 3, 1))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, PICTURE[..., np.newaxis])


def test_lossless_webp_comes_back_exactly(save: Save) -> None:
    pixels = decode_image(save("a.webp", noise(5, 7), lossless=True), PixelFormat(5, 7, 3))
    np.testing.assert_array_equal(pixels, noise(5, 7))


@pytest.mark.parametrize(
    ("installed", "unserved"),
    [("2.19.1", "WebP, which needs TensorFlow 2.20"), ("2.20.0", ""), ("2.21.0rc1", "")],
)
def test_webp_is_served_since_tensorflow_2_20(
    save: Save, monkeypatch: pytest.MonkeyPatch, installed: str, unserved: str
) -> None:
    uncached = decode_module.tensorflow_decodes_webp.__wrapped__
    monkeypatch.setattr(decode_module, "tensorflow_decodes_webp", uncached)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    content = save("a.webp", noise(5, 7)).read_bytes()
    with quiet_pillow():
        assert decode(content, PixelFormat(5, 7, 3)).unserved == unserved


def test_jpeg_of_one_colour_comes_back(save: Save) -> None:
    red = np.full((8, 8, 3), (250, 20, 30), np.uint8)
    pixels = decode_image(save("a.jpg", red, quality=100), PixelFormat(8, 8, 3))
    np.testing.assert_allclose(pixels, red, atol=2)


def test_cmyk_jpeg_comes_back_as_rgb(save: Save) -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels = decode_image(save("a.jpg", red, quality=100), PixelFormat(8, 8, 3))
    np.testing.assert_allclose(pixels, np.full((8, 8, 3), (255, 0, 0)), atol=3)


def test_16_bit_png_keeps_the_high_byte(save: Save) -> None:
    path = save("a.png", PICTURE.astype(np.uint16) * 256 + 255)
    pixels = decode_image(path, PixelFormat(2, 3, 1))
    np.testing.assert_array_equal(pixels[..., 0], PICTURE)


def test_first_frame_of_an_animation_is_taken(save: Save) -> None:
    frames = [Image.new("L", (4, 4), shade) for shade in (10, 200)]
    path = save("a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (decode_image(path, PixelFormat(4, 4, 1)) == 10).all()


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, PICTURE),
        (2, PICTURE[:, ::-1]),
        (3, PICTURE[::-1, ::-1]),
        (4, PICTURE[::-1]),
        (5, PICTURE.T),
        (6, np.rot90(PICTURE, -1)),
        (7, PICTURE[::-1, ::-1].T),
        (8, np.rot90(PICTURE)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_orientation_is_honoured(
    save: Save, orientation: int, upright: NDArray[np.uint8], suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(f"a.{suffix}", PICTURE, exif=exif)
    height, width = upright.shape
    np.testing.assert_array_equal(
        decode_image(path, PixelFormat(height, width, 1))[..., 0], upright
    )
    with Image.open(path) as image:
        assert upright_size(image) == (width, height)


def test_jpeg_orientation_is_honoured(save: Save) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    left_dark = np.repeat([[0, 255]], 8, axis=0).repeat(8, axis=1).astype(np.uint8)
    pixels = decode_image(save("a.jpg", left_dark, exif=exif, quality=100), PixelFormat(16, 8, 1))
    np.testing.assert_allclose(pixels[..., 0], np.rot90(left_dark, -1), atol=3)


def test_broken_exif_counts_as_none(save: Save) -> None:
    path = save("a.jpg", noise(8, 8), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    plain = save("b.jpg", noise(8, 8))
    target = PixelFormat(8, 8, 3)
    np.testing.assert_array_equal(decode_image(path, target), decode_image(plain, target))


def test_resize_is_pillows_antialiased_bilinear_after_the_colours(save: Save) -> None:
    pixels = decode_image(save("a.png", noise(20, 30)), PixelFormat(7, 5, 1))
    grey = Image.fromarray(noise(20, 30)).convert("L")
    expected = np.asarray(grey.resize((5, 7), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels[..., 0], expected)


@pytest.mark.parametrize(
    ("size", "target", "ratio"),
    [
        ((512, 512), (32, 32), 8),
        ((511, 600), (32, 32), 4),
        ((600, 511), (32, 32), 4),
        ((4000, 128), (32, 32), 2),
        ((127, 127), (32, 32), 1),
        ((512, 512), (32, 64), 4),
        ((512, 512), (64, 32), 4),
        ((20, 20), (32, 32), 1),
    ],
)
def test_draft_leaves_twice_the_longer_target_side(
    size: tuple[int, int], target: tuple[int, int], ratio: int
) -> None:
    assert draft_ratio(size, PixelFormat(*target, 3)) == ratio


def test_pillow_decodes_at_exactly_the_draft_ratio(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = []
    load = JpegImagePlugin.JpegImageFile.load

    def spy(image: JpegImagePlugin.JpegImageFile) -> object:
        ratios.append(image.decoderconfig[0] if image.decoderconfig else 1)
        return load(image)

    target = PixelFormat(3, 4, 3)
    sizes = [(height, width) for height in range(5, 90, 7) for width in range(6, 90, 11)]
    for height, width in sizes:
        path = save("a.jpg", noise(height, width))
        with monkeypatch.context() as patch:
            patch.setattr(JpegImagePlugin.JpegImageFile, "load", spy)
            ratios.clear()
            decode_image(path, target)
        assert ratios[0] == draft_ratio((width, height), target)


def test_drafted_jpeg_is_the_resized_reduced_image(save: Save) -> None:
    path = save("a.jpg", noise(130, 150))
    with Image.open(path) as image:
        image.draft(None, (37, 32))
        assert image.size == (38, 33)
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode_image(path, PixelFormat(16, 16, 3)), expected)


def test_bytes_path_and_file_give_the_same(save: Save) -> None:
    path = save("a.png", PICTURE)
    target = PixelFormat(2, 3, 3)
    expected = decode_image(path, target)
    content = path.read_bytes()
    np.testing.assert_array_equal(decode_image(content, target), expected)
    np.testing.assert_array_equal(decode_image(io.BytesIO(content), target), expected)
    np.testing.assert_array_equal(decode_image(str(path), target), expected)


def test_result_can_be_written_to(save: Save) -> None:
    pixels = decode_image(save("a.png"), PixelFormat(4, 4, 3))
    pixels += 1
    assert (pixels == 129).all()


def test_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.png: No such file"):
        decode_image(tmp_path / "none.png", PixelFormat(4, 4, 3))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
    ],
)
def test_other_content_is_a_data_error(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode_image(content, PixelFormat(4, 4, 3))


def test_truncated_file_is_a_data_error(save: Save) -> None:
    content = save("a.jpg", noise(64, 64)).read_bytes()
    with pytest.raises(DataError, match="truncated"):
        decode_image(content[: len(content) // 2], PixelFormat(64, 64, 3))


@pytest.mark.parametrize("limit", [4, 10])  # 16 pixels: Pillow raises above 2·4, warns above 10
def test_decompression_bomb_is_refused(
    save: Save, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    path = save("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=f"decompression bomb, more than {limit} pixels"):
        decode_image(path, PixelFormat(4, 4, 3))


@pytest.mark.parametrize("size", [(65_536, 1), (1, 65_536)])
def test_a_line_of_more_pixels_than_a_jpeg_can_have_is_refused(
    save: Save, size: tuple[int, int]
) -> None:
    with pytest.raises(DataError, match="a side has 65,536 pixels, more than 65,535"):
        decode_image(save("a.png", Image.new("L", size)), PixelFormat(4, 4, 1))


KINDS = {
    "RGBA": encode(photo(37, 29, "RGBA"), "PNG"),
    "LA": encode(photo(37, 29, "LA"), "PNG"),
    "transparent palette": encode(photo(37, 29, "P"), "PNG", transparency=5),
    "16 bits": encode(photo(37, 29, "I;16"), "PNG"),
    "32 bits": encode(photo(37, 29, "I;16").convert("I"), "TIFF"),
    "deep RGB": png(16, 2, channels=3),
    "deep RGBA": png(16, 6, channels=4),
}


@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("bits", [12, 16])
def test_bands_of_rows_give_the_pixels_of_the_whole(
    content: bytes, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = PixelFormat(29, 37, 3, bits)
    whole = decode_image(content, target)
    monkeypatch.setattr("kt_tuning.data.decode._BAND", 4 * 37)
    np.testing.assert_array_equal(decode_image(content, target), whole)
    assert whole.std() > 10


@pytest.mark.parametrize(
    "content",
    [encode(photo(500, 400, "RGBA"), "PNG"), png(16, 6, channels=4, size=(500, 400))],
    ids=["RGBA", "deep RGBA"],
)
def test_no_array_of_a_whole_large_image_is_made(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kt_tuning.data.decode._BAND", 1 << 12)
    decode_image(content, PixelFormat(8, 8, 3, 12))  # what is imported first is not counted
    tracemalloc.start()
    decode_image(content, PixelFormat(8, 8, 3, 12))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 500 * 400, "an array of RGB has 3 bytes a pixel"


def test_overlapping_users_leave_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(quiet_pillow())
    second.enter_context(quiet_pillow())
    first.close()
    during = list(warnings.filters)
    second.close()
    assert warnings.filters == before
    assert during != before
