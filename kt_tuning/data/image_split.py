"""One of the three splits: which images, and their labels; the pixels may stay on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.errors import StorageError


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
                f"The cached pixels {self.path} cannot be opened ({error}). "
                "Call load_images again to make them anew."
            ) from error


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Marks the test split of some data, each use of which is to be noted.

    Attributes:
        fingerprint: Of the data.
        runs: Directories of the searches on the data that this process knows; it grows.
        without_run: Where uses are noted while there is no run.
    """

    fingerprint: str
    runs: list[Path]
    without_run: Path

    def folders(self) -> list[Path]:
        """Return where a use is noted."""
        known = [folder for folder in self.runs if folder.is_dir()]
        return known or [self.without_run]


class ImageSplit:
    """Images and labels of one split.

    Pickling a split whose pixels are in a `PixelFile` writes the path, not the pixels, so it is
    cheap to hand to another process.

    Attributes:
        index: (n,) int64, the places of this split's images among all images.
        labels: (n,) int64.
        held_out: Of a test split, where its uses are noted; None for others.
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
        return f"ImageSplit({len(self)} images of shape {self._pixels.shape[1:]})"

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels) of each image."""
        return self._pixels.shape[1:]

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

    def __getstate__(self) -> dict[str, Any]:
        return {
            "pixels": self._source,
            "index": self.index,
            "labels": self.labels,
            "held_out": self.held_out,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
