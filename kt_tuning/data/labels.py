"""Conversion of labels to integers 0 … classes - 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError


class LabelMap:
    """The integers of labels.

    Attributes:
        class_names: Names by integer.
    """

    def __init__(self, values: Sequence[Any], class_names: Sequence[str]) -> None:
        """Pair each label value with its name; the position is the integer."""
        self._integers = {value: integer for integer, value in enumerate(values)}
        self.class_names = tuple(class_names)

    @classmethod
    def fit(cls, y: Any, class_names: Sequence[str] | None = None) -> Self:
        """Find the classes of labels.

        Args:
            y: Integers, whole floats, bools or strings, (N,) or (N, 1), or one-hot rows (N, C).
                Values are numbered in ascending order, so 0 … C - 1 stay unchanged.
            class_names: Names by integer; by default the values themselves. For strings, the same
                strings in the order wanted.

        Raises:
            DataError: if labels are NaN or of another form, have fewer than 2 classes, or if
                `class_names` does not fit them.
        """
        raw, columns = _values(y)
        values = list(range(columns)) if columns else np.unique(raw).tolist()
        if len(values) < 2:
            raise DataError(f"Expected labels of at least 2 classes. Received: {values} only")
        if class_names is None:
            return cls(values, [str(value) for value in values])
        names = [str(name) for name in class_names]
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
        return cls(values, names)

    def encode(self, y: Any) -> NDArray[np.int64]:
        """Return the integers for labels in any form that `fit` takes, (N,).

        Raises:
            DataError: if a label is not among the fitted ones.
        """
        raw, columns = _values(y)
        if columns and columns != len(self.class_names):
            raise DataError(
                f"Expected one-hot labels with {len(self.class_names)} columns. Received: {columns}"
            )
        # `_values` has turned one-hot rows into positions
        integers = {i: i for i in range(columns)} if columns else self._integers
        unknown = sorted(set(raw.tolist()) - set(integers))
        if unknown:
            raise DataError(
                f"Expected labels among those of the training images, {_short([*self._integers])}. "
                f"Received also: {_short(unknown)}"
            )
        return np.array([integers[value] for value in raw.tolist()], dtype=np.int64)


def _values(y: Any) -> tuple[NDArray[Any], int]:
    """Return (N,) integers or strings, and the number of one-hot columns, 0 if not one-hot."""
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O":  # such as a pandas column of strings
        kinds = {type(value) for value in array.ravel().tolist()}
        if len(kinds) != 1:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"Expected labels of one type. Received: {names}")
        array = np.array(array.tolist())
    if array.dtype.kind == "f":
        broken = ~np.isfinite(array) | (array != np.rint(array))
        if broken.any():
            raise DataError(
                f"Expected whole numbers as labels. Received {int(broken.sum())} others, the first "
                f"{array[broken].flat[0]} in row {int(np.argwhere(broken)[0, 0])}"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuU" or array.ndim not in (1, 2) or array.size == 0:
        raise DataError(
            "Expected labels as integers, strings or one-hot rows: (N,), (N, 1) or (N, classes). "
            f"Received: {array.dtype} {array.shape}"
        )
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
