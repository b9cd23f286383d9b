from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import PixelFormat
from kt_tuning.data import pixel_cache
from kt_tuning.data.pixel_cache import CacheIndex, PixelCache, cache_folder, part_labels

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)


def index(content: str = "abc") -> CacheIndex:
    counts = {"train": [2, 2], "test": [1, 1]}
    pixels, names = PixelFormat(2, 2, 1), ("cat", "dog")
    return CacheIndex(pixels, names, counts, content, [("a.png", "odd")], [[1, 2]], [], "", {})


def stored(folder: Path) -> PixelCache:
    cache = PixelCache(folder, "key")
    cache.write([IMAGES[:4], IMAGES[4:]])
    cache.save(index())
    return cache


def test_what_was_written_is_read(tmp_path: Path) -> None:
    stored(tmp_path)
    cache = PixelCache(tmp_path, "key")
    found = cache.read()
    assert found == index()
    np.testing.assert_array_equal(cache.pixel_file(found.shape).open(), IMAGES)


def test_labels_follow_from_the_counts() -> None:
    labels = part_labels({"train": [2, 1], "test": [0, 3]})
    np.testing.assert_array_equal(labels["train"], [0, 0, 1])
    np.testing.assert_array_equal(labels["test"], [1, 1, 1])


def test_another_key_is_not_there(tmp_path: Path) -> None:
    stored(tmp_path)
    assert PixelCache(tmp_path, "other").read() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"pixels": 3}'])
def test_damaged_index_counts_as_absent(tmp_path: Path, damage: bytes) -> None:
    cache = stored(tmp_path)
    (tmp_path / "key.json").write_bytes(damage)
    assert cache.read() is None


def test_pixels_changed_in_place_count_as_absent(tmp_path: Path) -> None:
    cache, pixels = stored(tmp_path), tmp_path / "key.pixels"
    before = pixels.stat()
    content = bytearray(pixels.read_bytes())
    content[13] ^= 1
    pixels.write_bytes(content)
    # As a failing disk would: size and time stay.
    os.utime(pixels, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.read() is None
    content[13] ^= 1
    pixels.write_bytes(content)
    os.utime(pixels, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.read() == index()


def test_an_index_changed_in_place_counts_as_absent(tmp_path: Path) -> None:
    cache, file = stored(tmp_path), tmp_path / "key.json"
    text = file.read_text()
    changed = text.replace("cat", "cow")
    assert changed != text
    file.write_text(changed)
    assert cache.read() is None


def test_the_checksum_of_a_large_file_covers_blocks_at_equal_distances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_cache, "_BLOCK", 4)
    monkeypatch.setattr(pixel_cache, "_BLOCKS", 3)  # bytes 0 to 3, 10 to 13 and 20 to 23
    stored(tmp_path)
    pixels = tmp_path / "key.pixels"
    whole = pixels.read_bytes()
    found = []
    for place in range(24):
        pixels.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        found.append(index().checksum_with(pixels))
    pixels.write_bytes(whole)
    kept = [place for place, crc in enumerate(found) if crc == index().checksum_with(pixels)]
    assert kept == [*range(4, 10), *range(14, 20)]


def test_cut_off_pixels_count_as_absent_and_are_replaced(tmp_path: Path) -> None:
    cache = stored(tmp_path)
    os.truncate(tmp_path / "key.pixels", 23)
    assert cache.read() is None
    cache.write([IMAGES])
    cache.save(index())
    assert cache.read() == index()


def test_failure_while_decoding_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield IMAGES
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PixelCache(tmp_path, "key").write(broken())
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StorageError, match="KT_TUNING_CACHE"):
            PixelCache(tmp_path, "key").write([IMAGES])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/cache: Not a directory.*KT_TUNING_CACHE"):
        PixelCache(tmp_path / "file" / "cache", "key").write([IMAGES])


def test_only_abandoned_temporary_files_are_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "writing.old", tmp_path / "writing.young"
    old.write_text("")
    young.write_text("")
    os.utime(old, (0, 0))
    stored(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_folder_is_the_argument_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KT_TUNING_CACHE", "/from/environment")
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == Path("/from/environment")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, "home/.cache/kt-tuning"),
        ("linux", "XDG_CACHE_HOME", "chosen/kt-tuning"),
        ("darwin", None, "home/Library/Caches/kt-tuning"),
        ("win32", "LOCALAPPDATA", "chosen/kt-tuning"),
    ],
)
def test_default_folder_is_the_platforms(
    monkeypatch: pytest.MonkeyPatch, platform: str, variable: str | None, expected: str
) -> None:
    for name in ("KT_TUNING_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "home")
    if variable:
        monkeypatch.setenv(variable, "chosen")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(expected)
