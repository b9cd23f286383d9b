"""Features of a frozen network on disk: one row an image, computed when it is first asked for."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kt_tuning.data.cache import cache_folder
from kt_tuning.data.image_split import ImageSplit
from kt_tuning.errors import StorageError

logger = logging.getLogger("kt_tuning")

CHUNK = 256
"""Images whose features are computed and marked as done together."""
LARGEST = 8 << 30
"""Bytes that all features in a cache folder may take; the least recently used go first."""
FOLDER = "features"


class Extractor(Protocol):
    """A frozen network, such as `hypermodels.frozen.FrozenPart`."""

    @property
    def digest(self) -> str:
        """Equal digests, equal features."""

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features (n, d) of images, uint8 (n, height, width, channels)."""


class FeatureCache:
    """Features of the images of one data set.

    Each image's features by each network are computed once, whatever process, trial or run asks:
    they are in two files, the rows and a mark a row, and a lock lets one process at a time compute.
    A process that is killed loses the images of its last chunk.

    Args:
        content: Digest of the images, `ImageData.content`.
        images: Their number.
        folder: Of the cache; by default that of the decoded images.
    """

    def __init__(self, content: str, images: int, folder: str | Path | None = None) -> None:
        self._content = content
        self._images = images
        self._folder = cache_folder(folder) / FOLDER

    def of(self, split: ImageSplit, extractor: Extractor) -> NDArray[np.float32]:
        """Return the features (n, d) of a split's images, in their order; a copy.

        Args:
            split: Of the data set.
            extractor: What computes those that are not there yet.

        Raises:
            StorageError: if the cache cannot be written.
        """
        return self.until(split, extractor, None)[1]

    def until(
        self, split: ImageSplit, extractor: Extractor, at: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the features of as many images of a split as can be had by a time.

        Images whose features are not there yet are taken in a random order, always the same, and
        at least `CHUNK` of them.

        Args:
            split: Of the data set.
            extractor: What computes those that are not there yet.
            at: Value of `time.monotonic()`, or None for no limit.

        Returns:
            Places within the split (m,), ascending, and the features (m, d); copies.

        Raises:
            StorageError: if the cache cannot be written.
        """
        key = hashlib.blake2b(
            f"{self._content} {extractor.digest}".encode(), digest_size=16
        ).hexdigest()
        path = self._folder / f"{key}.npy"
        with self._storage_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / f"{key}.lock"):
                return self._read(path, split, extractor, at)

    def _read(
        self, path: Path, split: ImageSplit, extractor: Extractor, at: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        done_path = path.with_suffix(".done")
        try:
            rows, done = np.load(path, mmap_mode="r+"), np.load(done_path, mmap_mode="r+")
            whole = len(rows) == len(done) == self._images
        except (OSError, EOFError, ValueError):
            whole = False
        if not whole:
            width = extractor.features(split.take([0])).shape[1]
            self._make_room(self._images * width * 4)
            shapes = {path: ((self._images, width), np.float32), done_path: ((self._images,), bool)}
            rows, done = (
                np.lib.format.open_memmap(name, "w+", dtype=dtype, shape=shape)
                for name, (shape, dtype) in shapes.items()
            )
        os.utime(path)
        missing = np.flatnonzero(~done[split.index])
        if at is not None:
            missing = np.random.default_rng(0).permutation(missing)
        if len(missing):
            logger.info("Computing features of %d images, once.", len(missing))
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            rows[split.index[chunk]] = extractor.features(split.take(chunk))
            rows.flush()
            done[split.index[chunk]] = True
            done.flush()
            if at is not None and time.monotonic() >= at:
                break
        places = np.flatnonzero(done[split.index])
        return places, np.array(rows[split.index[places]])

    def _make_room(self, wanted: int) -> None:
        """Delete the least recently used until `wanted` bytes more are within `LARGEST`."""
        found = sorted(self._folder.glob("*.npy"), key=lambda path: path.stat().st_mtime)
        total = wanted + sum(path.stat().st_size for path in found)
        for path in found:
            if total <= LARGEST:
                return
            total -= path.stat().st_size
            for file in (path, path.with_suffix(".done")):
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"Cannot write features to {self._folder}: {error.strerror or error}. Free space "
                "there, or name another folder in the environment variable KT_TUNING_CACHE."
            ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block; on Windows, which lacks such locks, each one."""
    with open(path, "w", encoding="utf-8") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
