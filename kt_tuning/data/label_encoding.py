"""Labels of any usual form as integers and class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.core.names import composed, is_one_line

_WHOLE = 2.0**53
"""From here on not all whole numbers are floats."""


def check_class_names(names: Sequence[str]) -> None:
    """Check that names can be written one per line, as in labels.txt of an exported model.

    Raises:
        DataError: if one is empty, or has line breaks, other control characters or no Unicode.
    """
    if broken := [name for name in names if not is_one_line(name)]:
        raise DataError(
            "Expected class names in Unicode, each on one line, not empty and without control "
            "characters, as labels.txt of an exported model lists them. Received: "
            f"{', '.join(map(ascii, broken))}. Rename these."
        )


def encode_labels(
    labels: Sequence[Any], class_names: Sequence[str] | None = None
) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Convert the labels of one or more splits to integers 0 … classes - 1.

    Args:
        labels: For each split integers, whole floats, bools, strings or bytes of UTF-8, (N,) or
            (N, 1), or one-hot rows (N, C). The first split has all classes. Values are numbered in
            ascending order, so 0 … C - 1 stay unchanged.
        class_names: Names by integer; by default the values themselves. For strings, the same
            strings in the order wanted.

    Returns:
        For each split integers (N,), and the names by integer.

    Raises:
        DataError: if labels are NaN or of another form, have fewer than 2 classes or others than
            the first split, or if `class_names` does not fit them.
    """
    if isinstance(class_names, (str, Mapping)):
        raise DataError(
            "class_names should be a sequence of names, the name of label 0 first. "
            f"Received: {type(class_names).__name__}"
        )
    raw, columns = _label_values(labels[0])
    values: list[Any] = list(range(columns)) if columns else np.unique(raw).tolist()
    if len(values) < 2:
        raise DataError(f"Expected labels of at least 2 classes. Received: {values} only")
    names = [composed(str(name)) for name in (values if class_names is None else class_names)]
    if len(names) != len(values) or len(set(names)) != len(names):
        raise DataError(
            f"class_names should hold {len(values)} different names, one for each of the "
            f"labels {_short(values)}. Received: {_short(names)}"
        )
    if isinstance(values[0], str):
        if set(names) != set(values):
            raise DataError(
                "class_names should be the labels' own strings in the order wanted, "
                f"{_short(values)}. Received: {_short(names)}"
            )
        values = names
    encoded = []
    for y in labels:
        raw, columns = _label_values(y)
        if columns and columns != len(names):
            raise DataError(
                f"Expected one-hot labels with {len(names)} columns. Received: {columns}"
            )
        # `_label_values` has turned one-hot rows into integers.
        known = range(columns) if columns else values
        integers = {value: integer for integer, value in enumerate(known)}
        if unknown := sorted(set(raw.tolist()) - set(integers)):
            raise DataError(
                f"Expected labels among those of the training images, {_short(values)}. "
                f"Received also: {_short(unknown)}"
            )
        encoded.append(np.array([integers[value] for value in raw.tolist()], dtype=np.int64))
    return encoded, tuple(names)


def refuse_masked(array: Any, name: str) -> None:
    """Refuse an array with masked values.

    Raises:
        DataError: if it has any.
    """
    if np.ma.is_masked(array):
        raise DataError(
            f"{name} has masked values, which would count as if they were not masked. Fill them, "
            f"{name}.filled(…), or drop those images."
        )


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or the NA or NaT of pandas."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # NA compares as NA
        return True


def _label_values(y: Any) -> tuple[NDArray[Any], int]:
    """Return (N,) integers or composed strings, and the number of one-hot columns, 0 if none."""
    refuse_masked(y, "y")
    try:
        array = np.asarray(y)
    except ValueError as error:  # NumPy's "inhomogeneous shape"
        raise DataError(f"Expected one label per image, or one-hot rows. {error}") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O":  # such as a pandas column of strings
        values = array.ravel().tolist()
        if missing := sum(map(is_missing, values)):
            raise DataError(f"{missing} of {len(values)} labels are missing: None or NaN.")
        kinds = {type(value) for value in values}
        if len(kinds) != 1:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"Expected labels of one type. Received: {names}")
        array = np.array(array.tolist())
    if array.dtype.kind == "S":  # TensorFlow's strings
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"Labels that are bytes should be text in UTF-8: {error}") from error
    if array.dtype.kind == "U":
        array = np.array([composed(text) for text in array.ravel().tolist()]).reshape(array.shape)
    if array.dtype.kind not in "biufU" or array.ndim not in (1, 2) or array.size == 0:
        raise DataError(
            "Expected labels as integers, strings or one-hot rows: (N,), (N, 1) or (N, classes). "
            f"Received: {array.dtype} {array.shape}"
        )
    if array.dtype.kind == "f":
        if array.dtype == np.float16:
            array = array.astype(np.float32)  # the limit below is infinite in float16
        broken = ~(np.abs(array) < _WHOLE) | (array != np.rint(array))
        if broken.any():
            raise DataError(
                f"Expected whole numbers as labels. Received {int(broken.sum())} others, the first "
                f"{array[broken].flat[0]} in row {int(np.argwhere(broken)[0, 0])}"
            )
        array = array.astype(np.int64)
    if array.ndim == 1:
        return array, 0
    if array.dtype.kind == "U" or not (np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
        raise DataError(
            f"Labels of shape {array.shape} should be one-hot: a single 1 in each row, zeros "
            "elsewhere. Turn probabilities into labels with argmax(axis=1)."
        )
    return array.argmax(1), array.shape[1]


def _short(values: Sequence[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:10])
    return shown + (f", … ({len(values)} in all)" if len(values) > 10 else "")
