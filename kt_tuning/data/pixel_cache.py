"""Cache of decoded pixels on disk, which makes the second load of a folder instant.

A data set is two files: `<key>.pixels`, raw uint8 in C order, and `<key>.json`, its `CacheIndex`.
Both are written atomically, the index last: pixels without an index are ignored. The index has a
checksum of itself and of the pixels, which is compared when they are read: a data set that is
damaged, as after a power loss or by a failing disk, is decoded again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import WRITING, atomic_write
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import PixelFormat
from kt_tuning.data.image_split import PixelFile

logger = logging.getLogger("kt_tuning")

ENVIRONMENT = "KT_TUNING_CACHE"

_BLOCK = 1 << 20
_BLOCKS = 512
"""Size in bytes and largest number of the blocks that a checksum covers: all of a file of up to
512 MiB; of a larger one as many blocks at equal distances, its beginning and its end included.
Reading all of it would take as long as the disk needs."""

_ABANDONED = 24 * 3600
"""Age in seconds of temporary files that are left from killed processes."""


@dataclasses.dataclass(frozen=True)
class CacheIndex(Record):
    """Description of the pixels of a data set.

    Attributes:
        pixels: Size and channels of each image.
        class_names: Names by label.
        counts: Number of images by part and label, in the order of the pixels.
        content: Hex digest of pixels, labels and class names.
        unreadable: Files left out: path within the folder, and reason.
        exact: Sets of images with equal pixels.
        similar: Sets of images of the same picture, see `Duplicates`.
        size_origin: Origin of the size, in words.
        unserved: Number of images that an exported model cannot decode, by kind of file.
        modified: Modification time of the file of pixels, in nanoseconds.
        checksum: CRC-32 of the other fields and of the blocks of the file of pixels.
    """

    pixels: PixelFormat
    class_names: tuple[str, ...]
    counts: dict[str, list[int]]
    content: str
    unreadable: list[tuple[str, str]]
    exact: list[list[int]]
    similar: list[list[int]]
    size_origin: str
    unserved: dict[str, int]
    modified: int = dataclasses.field(default=0, compare=False)
    checksum: int = dataclasses.field(default=0, compare=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, height, width, channels)."""
        return (sum(map(sum, self.counts.values())), *self.pixels.shape)

    def checksum_with(self, pixels: Path) -> int:
        """Return what `checksum` should be for a file of pixels.

        Raises:
            OSError: if the file cannot be read.
        """
        fields = {**self.to_json(), "checksum": None}
        start = zlib.crc32(json.dumps(fields, sort_keys=True).encode())
        last = max(pixels.stat().st_size - _BLOCK, 0)
        count = min(math.ceil(last / _BLOCK) + 1, _BLOCKS)
        step = last / max(count - 1, 1)

        def block(number: int) -> int:
            with pixels.open("rb", buffering=0) as file:
                file.seek(round(number * step))
                return zlib.crc32(file.read(_BLOCK))

        # Reading and computing do not hold Python's lock.
        with ThreadPoolExecutor(max_workers=4) as threads:
            blocks = np.fromiter(threads.map(block, range(count)), "<u4", count)
        return zlib.crc32(blocks.tobytes(), start)


def part_labels(counts: Mapping[str, Sequence[int]]) -> dict[str, NDArray[np.int64]]:
    """Return the labels of each part's images, in ascending order."""
    return {
        part: np.repeat(np.arange(len(of_class)), of_class) for part, of_class in counts.items()
    }


def content_digest(
    pixels: hashlib.blake2b,
    shape: tuple[int, ...],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
) -> str:
    """Return the hexadecimal digest of pixels, (N,) labels and class names.

    It depends on the order of the images, not on names, dates or places of files. `pixels` is the
    hash of 16 bytes of all pixels, and `shape` is (height, width, channels).
    """
    pixels.update(np.asarray(shape, dtype="<i8").data)
    pixels.update(labels.astype("<i8").data)
    for name in class_names:
        pixels.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return pixels.hexdigest()


def split_digest(content: str, indices: Mapping[str, NDArray[np.int64]]) -> str:
    """Return the hexadecimal digest of a content digest and the index sets drawn from it."""
    digest = hashlib.blake2b(content.encode(), digest_size=16)
    for part in sorted(indices):
        digest.update(f"\0{part}\0".encode())
        digest.update(indices[part].astype("<i8").data)
    return digest.hexdigest()


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder given, or `$KT_TUNING_CACHE`, or `kt-tuning` in the user's cache folder."""
    chosen = cache or os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser()
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return Path(base) / "kt-tuning"


def uses_without_run(fingerprint: str) -> Path:
    """Return the folder of the user's cache where uses of a test split are noted without a run.

    Args:
        fingerprint: Of the data.
    """
    return cache_folder() / "test_uses" / fingerprint


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Convert an OSError of the block to one that says what to do about the cache folder.

    Raises:
        StorageError: if the folder cannot be written or the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Cannot write to the cache folder {folder}: {error.strerror or error}. Free space "
            f"there, or name another folder in the environment variable {ENVIRONMENT}."
        ) from error


class PixelCache:
    """One data set in a cache folder."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._pixels = folder / f"{key}.pixels"
        self._index = folder / f"{key}.json"

    def read(self) -> CacheIndex | None:
        """Return the index; None if the data set is missing, incomplete or damaged."""
        try:
            index = CacheIndex.load(self._index)
            found = self._pixels.stat()
            whole = found.st_size == math.prod(index.shape)
            whole &= found.st_mtime_ns == index.modified
            if whole and index.checksum != index.checksum_with(self._pixels):
                logger.warning("The cached pixels %s are damaged.", self._pixels)
                whole = False
        except (AttributeError, OSError, TypeError, ValueError):  # the index is damaged
            return None
        return index if whole else None

    def pixel_file(self, shape: tuple[int, ...]) -> PixelFile:
        """Return the file of the pixels, of (N, height, width, channels)."""
        return PixelFile(str(self._pixels.absolute()), shape)

    def write(self, pieces: Iterable[NDArray[np.uint8]]) -> None:
        """Store pixels, consecutive images (n, height, width, channels) at a time.

        Raises:
            StorageError: if the folder cannot be written or the disk is full.
        """
        with contextlib.ExitStack() as stack:
            with storage_errors(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                for path in self._folder.glob(f"{WRITING}*"):  # of killed processes
                    with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                        if time.time() - path.stat().st_mtime > _ABANDONED:
                            path.unlink()
                temporary = stack.enter_context(atomic_write(self._pixels, durable=False))
                # Unbuffered, so that a full disk is noticed here and not again at closing.
                file = stack.enter_context(open(temporary, "wb", buffering=0))
            for piece in pieces:
                rest = piece.reshape(-1).data
                while len(rest):
                    with storage_errors(self._folder):
                        rest = rest[file.write(rest) :]
            with storage_errors(self._folder):
                stack.close()

    def save(self, index: CacheIndex) -> None:
        """Store the index of the pixels, which makes them valid.

        Raises:
            StorageError: if the folder cannot be written or the disk is full.
        """
        with storage_errors(self._folder):
            index = dataclasses.replace(index, modified=self._pixels.stat().st_mtime_ns)
            index = dataclasses.replace(index, checksum=index.checksum_with(self._pixels))
            index.save(self._index, durable=False)
