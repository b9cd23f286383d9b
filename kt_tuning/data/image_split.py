"""One of the three splits of a data set; its pixels may stay on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.units import count

CHUNK = 1024
"""Images that are processed together."""


@dataclasses.dataclass(frozen=True)
class PixelFile:
    """A file of raw uint8 pixels, C order.

    Attributes:
        path: The file.
        shape: (N, height, width, channels).
    """

    path: str
    shape: tuple[int, ...]

    def open(self) -> NDArray[np.uint8]:
        """Map the file into memory, read-only.

        Raises:
            StorageError: if the file is gone or has another size.
        """
        try:
            # the view drops np.memmap's own type, which every slice would drag along
            return np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.shape))
        except (OSError, ValueError) as error:
            raise StorageError(
                f"The cached pixels {self.path} cannot be opened ({error}): the cache was deleted "
                "or changed while it was used. Run the same command, or call load_images, again: "
                "the images are decoded again, and finished trials are kept."
            ) from error


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Marks a test split, whose uses are noted.

    Attributes:
        fingerprint: Fingerprint of the data.
        runs: Directories of the searches on the data in this process; it grows.
        without_run: Folder for notes while there is no run.
    """

    fingerprint: str
    runs: list[Path]
    without_run: Path

    def folders(self) -> list[Path]:
        """Return the folders where a use is noted."""
        known = [folder for folder in self.runs if folder.is_dir()]
        return known or [self.without_run]


class ImageSplit:
    """Images and labels of one split.

    It is a sequence of pairs (image, label) that is indexed like the rows of an array:

        image, label = data.train[3]                # uint8 (height, width, channels), an int
        images, labels = data.train[:10]            # uint8 (10, height, width, channels), (10,)
        images, labels = data.train[data.train.labels == 1]
        np.asarray(data.train)                      # all images, uint8 (n, height, width, channels)

    Keras accepts it: `model.predict(data.train)`, `model.evaluate(*data.train[:])`. Only the
    selected images are read.

    Pickling a split whose pixels are in a `PixelFile` writes the path and not the pixels, so that
    it can be sent to another process at low cost.

    Attributes:
        index: (n,) int64, the indices of this split's images among all images.
        labels: (n,) int64.
        held_out: For a test split, where its uses are recorded; None for others.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8] | PixelFile,
        index: NDArray[np.int64],
        labels: NDArray[np.int64],
        held_out: HeldOut | None = None,
    ) -> None:
        """Choose images.

        Args:
            pixels: All images, (N, height, width, channels).
            index: (n,) places of this split's images in `pixels`.
            labels: (n,) labels of this split's images.
            held_out: See the class.
        """
        self._source = pixels
        self._pixels = pixels.open() if isinstance(pixels, PixelFile) else pixels
        self.index = index
        self.labels = labels
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        height, width, channels = self.shape[1:]
        return f"ImageSplit({count(len(self), 'image')}, {height}×{width}×{channels})"

    @overload
    def __getitem__(self, key: int) -> tuple[NDArray[np.uint8], int]: ...

    @overload
    def __getitem__(
        self, key: slice | ArrayLike
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...

    def __getitem__(self, key: Any) -> tuple[NDArray[np.uint8], int | NDArray[np.int64]]:
        places = np.arange(len(self))[key if isinstance(key, slice) else np.asarray(key)]
        if places.ndim > 1:
            raise IndexError(f"A split has one dimension. Received: {key!r}")
        labels = self.labels[places]
        return self.take(places), labels if places.ndim else int(labels)

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        return (self[place] for place in range(len(self)))

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Expected copy=True or None, as `np.asarray(split)` copies images.")
        return self.images if dtype is None else self.images.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels), as of an array of the images."""
        return (len(self), *self._pixels.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Type of the pixels, uint8."""
        return self._pixels.dtype

    def take(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Return a contiguous copy of some images, uint8 (len(indices), height, width, channels).

        Args:
            indices: Places within this split, 0 to len(self) - 1.
        """
        return np.take(self._pixels, self.index[np.asarray(indices, dtype=np.int64)], axis=0)

    @property
    def images(self) -> NDArray[np.uint8]:
        """A copy of all images of the split, uint8 (n, height, width, channels)."""
        return np.take(self._pixels, self.index, axis=0)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source, self.index, self.labels, self.held_out)


def channel_statistics(split: ImageSplit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return means and standard deviations of the channels of a split, 0 to 255.

    A constant channel has a deviation of 1.
    """
    levels = np.arange(256)
    counts = np.zeros((split.shape[-1], len(levels)))
    for start in range(0, len(split), CHUNK):
        images = split.take(np.arange(start, min(start + CHUNK, len(split))))
        for channel, histogram in enumerate(counts):
            histogram += np.bincount(images[..., channel].ravel(), minlength=len(levels))
    shares = counts / counts.sum(axis=1, keepdims=True)
    means = shares @ levels
    deviations = np.sqrt((shares * (levels - means[:, None]) ** 2).sum(axis=1))
    return tuple(means.tolist()), tuple(np.where(deviations > 0, deviations, 1.0).tolist())
