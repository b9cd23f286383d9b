"""Unreadable files of a trial, such as a power loss leaves: empty or cut short."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import TrialRecord
from kt_tuning.run.layout import EXECUTIONS, HISTORY, PAUSE, PREDICTIONS, RESULT, WEIGHTS

TRIAL = "trial.json"
"""KerasTuner's file of a trial."""

UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
"""Errors of the readers of JSON (StorageError is an OSError), NumPy and HDF5 for damaged files."""


def damaged_files(folder: Path) -> list[Path]:
    """Return the unreadable files of a trial, apart from its checkpoint and failed attempts.

    Headers and lengths are checked, not every byte. Files that no trial writes are ignored.

    Args:
        folder: The folder of the trial.
    """
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not _is_readable(path)]


def _is_readable(path: Path) -> bool:
    name = WEIGHTS if re.fullmatch(r"fold_\d+\.weights\.h5", path.name) else path.name
    try:
        if read := _READERS.get(name):
            read(path)
    except UNREADABLE:
        return False
    return True


def _read_array(path: Path) -> None:
    np.load(path, mmap_mode="r")


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
    TRIAL: read_json,
    PREDICTIONS: _read_array,
    EXECUTIONS: _read_array,
    WEIGHTS: _read_weights,
}
