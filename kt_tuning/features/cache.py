"""Features of a frozen network on disk: one row per image, computed when it is first asked for.

`Views` has those of several augmented views of each image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment import Policy, augment
from kt_tuning.core.progress import progress, write_line
from kt_tuning.data import ImageSplit
from kt_tuning.data.pixel_cache import cache_folder, storage_errors

if TYPE_CHECKING:
    from hypermodels.frozen import FrozenPart

CHUNK = 256
"""Images whose features are computed and written together."""
LARGEST = 8 << 30
"""Bytes that all features in a cache folder may take; the least recently used go first."""
FOLDER = "features"
DIGESTS = ".digests"
"""Ending of the file beside the rows."""
MOST_VIEWS = 8
"""Views of an image, at most; the first one is the image itself."""
MEMORY = 768 << 20
"""Bytes that the features of all views may take in memory; fewer views if they would take more."""
SEED = 0
"""Seed of the views: all trials share them."""


class FeatureCache:
    """Features of the images of one data set.

    Each image's features by each network are computed once, whatever process, trial or run asks:
    they are in two files, the rows and a digest of each row, and a lock lets one process at a time
    compute. A row that its digest does not fit, of a process that was killed or a disk that is
    damaged, is computed again.

    Args:
        content: Digest of the images, `ImageData.content`.
        images: Their number.
        folder: Folder of the cache; by default that of the decoded images.
    """

    def __init__(self, content: str, images: int, folder: str | Path | None = None) -> None:
        self._content = content
        self._images = images
        self._folder = cache_folder(folder) / FOLDER

    def of(self, split: ImageSplit | _View, extractor: FrozenPart | _View) -> NDArray[np.float32]:
        """Return the features (n, …) of a split's images, in their order; a copy.

        Args:
            split: Some images of the data set.
            extractor: What computes those that are not there yet.

        Raises:
            StorageError: if the cache cannot be written.
        """
        return self.until(split, extractor, None)[1]

    def until(
        self, split: ImageSplit | _View, extractor: FrozenPart | _View, at: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the features of as many images of a split as can be had by a time.

        Images whose features are not there yet are taken in a random order, always the same, and
        at least `CHUNK` of them.

        Args:
            split: Some images of the data set.
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
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / f"{key}.lock"):
                return self._read(path, split, extractor, at)

    def _read(
        self, path: Path, split: ImageSplit | _View, extractor: FrozenPart | _View, at: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        files = self._open(path)
        features = np.empty((0, 0), np.float32)
        missing = np.arange(len(split))
        if files is not None:
            rows, digests = files
            features = np.array(rows[split.index])
            missing = np.flatnonzero(_digests(features) != digests[split.index])
            os.utime(path)
        if not len(missing):
            return np.arange(len(split)), features
        if at is not None:
            missing = np.random.default_rng(0).permutation(missing)
        there = np.ones(len(split), bool)
        there[missing] = False
        # The live view of the search may have the terminal.
        with progress("Computing features", len(missing), live=False) as task:
            for start in range(0, len(missing), CHUNK):
                chunk = missing[start : start + CHUNK]
                found = extractor.features(split.take(chunk))
                if files is None:
                    files = self._create(path, found.shape[1:])
                    features = np.empty((len(split), *found.shape[1:]), np.float32)
                rows, digests = files
                rows[split.index[chunk]] = features[chunk] = found
                rows.flush()
                digests[split.index[chunk]] = _digests(features[chunk])
                digests.flush()
                there[chunk] = True
                task.advance(len(chunk))
                if at is not None and time.monotonic() >= at:
                    break
        places = np.flatnonzero(there)
        return places, features if len(places) == len(split) else features[places]

    def _open(self, path: Path) -> tuple[np.memmap[Any, Any], np.memmap[Any, Any]] | None:
        """The rows and their digests; None if they are not there or of another size."""
        try:
            rows = np.load(path, mmap_mode="r+")
            digests = np.load(path.with_suffix(DIGESTS), mmap_mode="r+")
        except (OSError, EOFError, ValueError):
            return None
        whole = len(rows) == len(digests) == self._images and rows.dtype == np.float32
        return (rows, digests) if whole else None

    def _create(
        self, path: Path, shape: tuple[int, ...]
    ) -> tuple[np.memmap[Any, Any], np.memmap[Any, Any]]:
        self._make_room(self._images * math.prod(shape) * 4)
        memmap = np.lib.format.open_memmap
        return (
            memmap(path, "w+", dtype=np.float32, shape=(self._images, *shape)),
            memmap(path.with_suffix(DIGESTS), "w+", dtype=np.uint64, shape=(self._images,)),
        )

    def _make_room(self, wanted: int) -> None:
        """Delete the least recently used until `wanted` bytes more are within `LARGEST`."""
        found = sorted(self._folder.glob("*.npy"), key=lambda path: path.stat().st_mtime)
        total = wanted + sum(path.stat().st_size for path in found)
        for path in found:
            if total <= LARGEST:
                return
            total -= path.stat().st_size
            for file in (path, path.with_suffix(DIGESTS)):
                file.unlink(missing_ok=True)


def _digests(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A digest of each row, never 0: that is the digest of a row that has not been written."""
    found = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return np.maximum(np.frombuffer(b"".join(found), np.uint64), np.uint64(1))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block; on Windows, which lacks such locks, each one."""
    with open(path, "w", encoding="utf-8") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                write_line("Waiting for features that another process computes.")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Views:
    """Features of views of a split's images, as the images of `kt_tuning.data.batches.Batches`.

    `take` returns places of images, of which `choose` makes features: of one view of each.

    Args:
        split: The training images.
        extractor: The frozen network.
        cache: Cache of the features.
        policy: Makes the views; with one that does nothing there is one view.
        until: Value of `time.monotonic()` after which no further view is begun.

    Attributes:
        labels: (n,) int64.
        shape: (n, height, width, channels) or (n, width): that of the features.
    """

    def __init__(
        self,
        split: ImageSplit,
        extractor: FrozenPart,
        cache: FeatureCache,
        policy: Policy,
        *,
        until: float | None = None,
    ) -> None:
        self.labels = split.labels

        def features(view: int) -> NDArray[np.float16]:
            seen = _View(split, extractor, policy, view)
            return cache.of(seen, seen).astype(np.float16)

        views = [features(0)]
        self.shape = views[0].shape
        count = min(MOST_VIEWS, max(1, MEMORY // views[0].nbytes)) if policy.steps else 1
        while len(views) < count and (until is None or time.monotonic() < until):
            views.append(features(len(views)))
        self._features = views

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places themselves, for `choose`."""
        return indices

    def choose(
        self, indices: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return features of one view of each image.

        Args:
            indices: (m,) places of images.
            uniforms: (m, 1) in [0, 1).
        """
        views = (uniforms[:, 0] * len(self._features)).astype(np.int64)
        found = np.empty((len(indices), *self.shape[1:]), np.float32)
        for view in np.unique(views):
            of_view = views == view
            found[of_view] = self._features[view][indices[of_view]]
        return found


class _View:
    """A split as one view shows it, and the network under a digest of its own."""

    def __init__(self, split: ImageSplit, extractor: FrozenPart, policy: Policy, view: int) -> None:
        self.index = split.index
        self._split = split
        self._extractor = extractor
        self._policy = policy if view else Policy()
        self._view = view
        recipe = json.dumps([self._policy.to_json(), view, SEED], sort_keys=True)
        key = f"{extractor.digest} {recipe}"
        self.digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self._split)

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return these images of the view."""
        images = self._split.take(indices)
        if not self._policy.steps:
            return images
        draws = [
            np.random.default_rng((SEED, self._view, int(place))).random(self._policy.draws)
            for place in self.index[indices]
        ]
        return augment(self._policy, images, np.stack(draws))

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (n, …) of images of the view."""
        return self._extractor.features(images)
