"""Checking that arrays of images, labels and groups fit each other; each raises a DataError."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError


def group_numbers(groups: Any, train: int, total: int) -> NDArray[np.int64] | None:
    """Number the groups of the images of `x`; each of the others is on its own."""
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (train,) or array.dtype.kind not in "biufUSO":
        raise DataError(
            f"groups should hold one number or string an image of x, ({train},). "
            f"Received: {array.dtype} {array.shape}"
        )
    _, numbers = np.unique(
        array.astype(str) if array.dtype == object else array, return_inverse=True
    )
    return np.concatenate([numbers, np.arange(train, total) + train])


def is_pair(pair: Any) -> bool:
    """Whether something may be a pair (x, y)."""
    return isinstance(pair, tuple | list) and len(pair) == 2


def unpack(pair: Any, part: str) -> tuple[Any, Any]:
    """Take a pair (x, y) apart; `part` is what to call it in a message."""
    if not is_pair(pair):
        raise DataError(f"{part} should be a pair (x, y). Received: {type(pair).__name__}")
    return pair[0], pair[1]


def check_lengths(pixels: NDArray[np.uint8], labels: NDArray[np.int64], name: str) -> None:
    """Refuse images and labels of different number."""
    if len(pixels) != len(labels):
        raise DataError(
            f"{name}: expected one label an image. Received: {len(pixels)} images, "
            f"{len(labels)} labels"
        )


def check_shape(pixels: NDArray[np.uint8], train: NDArray[np.uint8], part: str) -> None:
    """Refuse images of another shape than the training images."""
    if pixels.shape[1:] != train.shape[1:]:
        raise DataError(
            f"The {part} images should have the shape of the training images, {train.shape[1:]}. "
            f"Received: {pixels.shape[1:]}"
        )


def check_type(x: Any, train: Any, part: str) -> None:
    """Floats may be 0..1 where integers are 0..255: one guess cannot serve both."""
    floats = [np.asarray(array).dtype.kind == "f" for array in (x, train)]
    if floats[0] != floats[1]:
        raise DataError(
            f"The {part} images should have the type of the training images, "
            f"{np.asarray(train).dtype}. Received: {np.asarray(x).dtype}. Convert one of them, or "
            "give value_range if both have the same range."
        )
