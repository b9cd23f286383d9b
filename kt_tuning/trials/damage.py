"""Unreadable files of a trial, such as a power loss leaves: empty or cut short."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from kt_tuning.core.atomic import WRITING
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.run_layout import HISTORY, PAUSE, RESULT

UNREADABLE = (OSError, EOFError, ValueError, KeyError, StorageError, zipfile.BadZipFile)
"""What the readers of JSON, NumPy and HDF5 files raise for a damaged file."""


def damaged_files(folder: Path) -> list[Path]:
    """Return the files of a trial that has ended or is interrupted that cannot be read.

    Headers and lengths are checked, not every byte.

    Args:
        folder: The folder of the trial, which no process writes.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not path.name.startswith(WRITING) and not _is_readable(path)]


def _is_readable(path: Path) -> bool:
    read = _READERS.get(path.name, _READERS.get(path.suffix))
    try:
        if read is not None:
            read(path)
    except UNREADABLE:
        return False
    return True


def _read_array(path: Path) -> None:
    np.load(path, mmap_mode="r")


def _read_archive(path: Path) -> None:
    with np.load(path) as arrays:
        _ = arrays.files


def _read_weights(path: Path) -> None:
    with h5py.File(path, "r"):
        pass


def _read_curve(path: Path) -> None:
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("The last row is cut short.")


_READERS: dict[str, Callable[[Path], object]] = {
    RESULT: TrialRecord.load,
    PAUSE: TrialRecord.load,
    HISTORY: _read_curve,
    ".json": read_json,
    ".npy": _read_array,
    ".npz": _read_archive,
    ".h5": _read_weights,
}
