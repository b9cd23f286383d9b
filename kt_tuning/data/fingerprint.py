"""Digests of data sets: equal for equal data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_BYTES = 16


class ContentDigest:
    """Digest of pixels, labels and class names, updated in pieces.

    It depends on the order of the images, not on names, dates or places of files.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=_BYTES)

    def update(self, pixels: NDArray[np.uint8]) -> None:
        """Add the next images, (n, height, width, channels)."""
        self._hash.update(np.ascontiguousarray(pixels).data)

    def finish(
        self, shape: tuple[int, ...], labels: NDArray[np.int64], class_names: Sequence[str]
    ) -> str:
        """Add shape, labels and class names, and return the hexadecimal digest.

        Args:
            shape: (height, width, channels).
            labels: (N,) of all images.
            class_names: Names by label.
        """
        self._hash.update(np.asarray(shape, dtype="<i8").data)
        self._hash.update(labels.astype("<i8").data)
        for name in class_names:
            self._hash.update(name.encode("utf-8", "surrogateescape") + b"\0")
        return self._hash.hexdigest()


def split_digest(content: str, indices: Mapping[str, NDArray[np.int64]]) -> str:
    """Return the hexadecimal digest of a content digest and the index sets drawn from it."""
    digest = hashlib.blake2b(content.encode(), digest_size=_BYTES)
    for part in sorted(indices):
        digest.update(f"\0{part}\0".encode())
        digest.update(indices[part].astype("<i8").data)
    return digest.hexdigest()
