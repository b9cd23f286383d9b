"""Pickling with large arrays in files that all worker processes map into memory.

N workers then hold the data once, in the page cache, and not N times.
"""

from __future__ import annotations

import io
import mmap
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError

LARGE = 2**20
"""Smallest array in bytes that gets a file: 1 MiB."""


def dumps(content: Any, folder: Path) -> bytes:
    """Pickle by cloudpickle with large NumPy arrays in files.

    `cloudpickle.loads` returns these arrays as read-only views of the files, which must exist until
    then. A view of an `np.memmap` is not copied: its file is used. An array that appears several
    times is written once.

    Args:
        content: Object to pickle.
        folder: Folder of the files, `<number>.npy`; made if missing.

    Raises:
        StorageError: if an array cannot be written.
        Exception: any error of pickling.
    """
    buffer = io.BytesIO()
    _Pickler(buffer, folder).dump(content)
    return buffer.getvalue()


class _Pickler(cloudpickle.Pickler):
    def __init__(self, buffer: io.BytesIO, folder: Path) -> None:
        super().__init__(buffer)
        self._folder = folder
        self._written = 0

    def reducer_override(self, obj: Any) -> Any:
        """Reduce a large array to its file; pickle's memo handles repeated arrays."""
        if type(obj) not in (np.ndarray, np.memmap) or obj.nbytes < LARGE or obj.dtype.hasobject:
            return super().reducer_override(obj)
        place = _place_in_file(obj) or self._write(obj)
        order = "C" if obj.flags.c_contiguous or not obj.flags.f_contiguous else "F"
        return _map, (*place, obj.dtype, obj.shape, order)

    def _write(self, array: NDArray[Any]) -> tuple[str, int]:
        path = self._folder.absolute() / f"{self._written}.npy"
        self._written += 1
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                # Not np.memmap: on a full disk a signal would kill this process.
                np.save(file, array, allow_pickle=False)
                return str(path), file.tell() - array.nbytes
        except OSError as error:
            raise StorageError(
                f"Cannot write {path}, {array.nbytes / 1e6:,.0f} MB of data that worker processes "
                f"share: {error.strerror or error}. Free space there, choose another directory, "
                "or pass workers=1."
            ) from error


def _place_in_file(array: NDArray[Any]) -> tuple[str, int] | None:
    """Return path and offset of an array that is a view of a file; None for other arrays."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root, np.memmap) or not isinstance(root.base, mmap.mmap):
        return None
    # A slice inherits the `offset` of its root, so its own is computed. Changes in a copy-on-write
    # map ("c") are not in the file.
    shared = root.filename is not None and root.mode != "c" and Path(root.filename).exists()
    if not shared or not (array.flags.c_contiguous or array.flags.f_contiguous):
        return None
    return str(root.filename), root.offset + array.ctypes.data - root.ctypes.data


def _map(
    path: str, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
) -> NDArray[Any]:
    try:
        mapped = np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise StorageError(
            f"The data in {path} cannot be opened ({error}). Leave the file there while the "
            "search runs."
        ) from error
    # Without the type np.memmap, which every slice would inherit.
    return np.asarray(mapped)
