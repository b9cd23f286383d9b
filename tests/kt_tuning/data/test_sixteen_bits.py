"""Files with 16 bits a pixel are scaled by how many bits they hold, over the whole set."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kt_tuning.core.records import DataCard, PixelFormat
from kt_tuning.data import decode_image, load_images
from kt_tuning.data.decode import bits_of


def write(folder: Path, top: int, kind: str = "png") -> Path:
    """12 files of two classes; one of them is as bright as `top`, others have half of it."""
    rng = np.random.default_rng(0)
    for number in range(12):
        levels = rng.integers(0, top // 2, (6, 6)).astype(np.uint16)
        if number == 5:
            levels[0, 0] = top
        path = folder / ("dark", "light")[number % 2] / f"{number:02d}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    return folder


@pytest.mark.parametrize(
    ("largest", "bits"),
    [(0, 16), (1, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (65535, 16)],
)
def test_bits_that_hold_a_level(largest: int, bits: int) -> None:
    assert bits_of(largest) == bits


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_levels_become_their_highest_8_bits(tmp_path: Path, bits: int, kind: str) -> None:
    folder = write(tmp_path / "scans", 2**bits - 1, kind)
    data = load_images(folder)
    assert data.card.pixels == PixelFormat(6, 6, 1, bits)
    paths = sorted(folder.rglob(f"*.{kind}"), key=lambda path: (path.parent.name, path.name))
    with Image.open(paths[-1]) as image:
        levels = np.asarray(image)
    split = next(name for name, index in data.indices.items() if 11 in index)
    place = int(np.flatnonzero(data.indices[split] == 11)[0])
    pixels = getattr(data, split).images[place, ..., 0]
    np.testing.assert_array_equal(pixels, levels >> (bits - 8))


def test_it_is_said_on_each_load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "kt_tuning"):
            load_images(write(tmp_path / "scans", 4095))
        assert "use 12 bits: their levels, 0 to 4095, become 0 to 255" in caplog.text


def test_size_and_channels_that_are_given_change_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "scans", 4095)
    assert load_images(folder, image_size=6, channels=1).content == load_images(folder).content


def test_files_of_8_bits_beside_them_stay_as_they_are(tmp_path: Path) -> None:
    folder = write(tmp_path / "scans", 4095)
    Image.new("L", (6, 6), 77).save(folder / "dark" / "zz.png")
    data = load_images(folder)
    place = int(np.flatnonzero(data.labels == 0)[-1])
    pixels = np.asarray(data.pixels.open())[place]  # type: ignore[union-attr]
    assert (pixels == 77).all()


def test_a_brighter_file_later_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[4095, 65535]], np.uint16)).save(tmp_path / "a.png")
    pixels = decode_image(tmp_path / "a.png", PixelFormat(1, 2, 1, bits=12))
    assert pixels.ravel().tolist() == [255, 255]


def test_a_card_of_before_has_16_bits(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(
        '{"fingerprint": "f", "class_names": ["a", "b"], "counts": {}, '
        '"pixels": {"height": 1, "width": 1, "channels": 1}}'
    )
    assert DataCard.load(tmp_path / "data.json").pixels.bits == 16


def write_colour(path: Path, levels: np.ndarray, kind: str) -> None:
    """Write uint16 (height, width, 3 or 4); Pillow cannot."""
    height, width, channels = levels.shape
    if kind == "png":
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
        header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
        parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        chunks = (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in parts
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        return
    order = {"tiff, little": "<", "tiff, big": ">"}[kind]
    data = levels.astype(f"{order}u2").tobytes()
    where = 8 + len(data)
    tags = [
        (256, width),
        (257, height),
        (258, where),
        (259, 1),
        (262, 2),
        (273, 8),
        (277, channels),
    ]
    tags += [(278, height), (279, len(data))] + ([(338, 2)] if channels == 4 else [])
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 4, 1, value)
        if tag != 258
        else struct.pack(f"{order}HHII", tag, 3, channels, value)
        for tag, value in tags
    )
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", where + len(bits))
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    path.write_bytes(head + data + bits + directory)


@pytest.mark.parametrize("kind", ["png", "tiff, little", "tiff, big"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colour_of_16_bits_a_channel(tmp_path: Path, kind: str, bits: int) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number in range(10):
        levels = rng.integers(0, 2**bits, (4, 6, 3)).astype(np.uint16)
        write_colour(tmp_path / "ab"[number // 5] / f"{number}.{kind[:3]}", levels, kind)
    data = load_images(tmp_path)
    assert data.card.pixels == PixelFormat(4, 6, 3, bits)
    last = np.asarray(data.pixels.open())[-1]  # type: ignore[union-attr]
    np.testing.assert_array_equal(last, levels >> (bits - 8))


def test_alpha_has_16_bits_whatever_colour_has(tmp_path: Path) -> None:
    levels = np.array([[[4095, 0, 2048, 65535], [4095, 0, 2048, 0]]], np.uint16)
    write_colour(tmp_path / "a.png", levels, "png")
    pixels = decode_image(tmp_path / "a.png", PixelFormat(1, 2, 3, bits=12))
    assert pixels.tolist() == [[[255, 0, 128], [255, 255, 255]]]
