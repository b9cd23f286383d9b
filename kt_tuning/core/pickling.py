"""Pickling of work with large arrays for workers, so that a machine holds the arrays once.

For processes each array is a file that all of them map into memory; N workers then hold it once, in
the page cache. On a Ray cluster it is a buffer in the object store of each node.
"""

from __future__ import annotations

import io
import mmap
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import KtTuningError, OptionError, StorageError

LARGE = 2**20
"""Smallest array in bytes that is not part of the pickle: 1 MiB."""

Packed = list[NDArray[np.uint8]]
"""The pickled object, then each large array in it."""


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
        OptionError: if the content cannot be pickled.
    """
    buffer = io.BytesIO()
    _dump(_FilePickler(buffer, folder), content, "worker processes")
    return buffer.getvalue()


def pack(content: Any) -> Packed:
    """Pickle by cloudpickle with large NumPy arrays as separate buffers, for Ray's object store.

    Raises:
        OptionError: if the content cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()

    def stays_in(array: pickle.PickleBuffer) -> bool:
        small = array.raw().nbytes < LARGE
        if not small:
            buffers.append(array)
        return small

    pickler = _BufferPickler(stream, protocol=5, buffer_callback=stays_in)
    _dump(pickler, content, "a cluster")
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    return [np.frombuffer(part, np.uint8) for part in parts]


def load_packed(reference: Any) -> Any:
    """Return a packed object from Ray's store; its large arrays are read-only views."""
    import ray

    pickled, *arrays = ray.get(reference)
    return pickle.loads(pickled, buffers=arrays)


def _dump(pickler: cloudpickle.Pickler, content: Any, where: str) -> None:
    try:
        pickler.dump(content)
    except KtTuningError:
        raise
    except Exception as error:
        raise OptionError(
            f"The hypermodel or the data cannot be sent to {where} ({error}). A tf.data.Dataset, "
            "an open file or a lock cannot: use arrays, or workers=1."
        ) from error


class _BufferPickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Reduce a view of a file like an array, whose bytes stay out of the pickle."""
        if type(obj) is np.memmap:
            return np.asarray(obj).__reduce_ex__(5)
        return super().reducer_override(obj)


class _FilePickler(cloudpickle.Pickler):
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
