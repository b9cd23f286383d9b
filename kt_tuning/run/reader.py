"""The reader of a run directory: every module that reads one asks it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import CsvTable
from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.json_record import Record, content_checked
from kt_tuning.core.records import PARTS, DataCard, SearchRecord, TrialRecord, best_first
from kt_tuning.run.layout import (
    CONFIGURATION,
    DATA,
    EXECUTIONS,
    EXPORT,
    HISTORY,
    MIRRORED,
    PAUSE,
    PREDICTIONS,
    REFIT_RECORD,
    RESULT,
    SEARCH,
    SPLIT,
    trial_folder,
)

R = TypeVar("R", bound=Record)
Integers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The content of `split.npz`.

    Attributes:
        labels: (N,) of all images of the data set.
        indices: "train", "validation" and "test", as far as written -> rows of the data set.
        predicted: Rows that trials predicted: the validation images, or those of all folds.
        groups: (N,) group of each image, or None.
    """

    labels: Integers
    indices: dict[str, Integers]
    predicted: Integers | None
    groups: NDArray[Any] | None

    @property
    def predicted_labels(self) -> Integers:
        """Labels of the rows that trials predicted; empty if none are known."""
        return self.labels[:0] if self.predicted is None else self.labels[self.predicted]


class Run:
    """Reads a run directory; writes nothing.

    A folder of models that were trained after the search, such as `refit` or `bag`, is one, too.

    Args:
        path: The directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self, kind: type[R], name: str) -> R | None:
        """Read a record; None if it has not been written.

        Args:
            kind: Class of the record.
            name: Of the file, see `kt_tuning.run.layout`.

        Raises:
            StorageError: if the file is damaged.
        """
        path = self.path / name
        return kind.load(path) if path.is_file() else None

    def read_search(self) -> SearchRecord:
        """Return the settings of the last search.

        Raises:
            StorageError: if there was none.
        """
        found = self.read(SearchRecord, SEARCH)
        if found is None:
            what = f"which has no {SEARCH}" if self.path.is_dir() else "which is not a folder"
            raise StorageError(
                f"The run directory should be the folder that a search wrote, with {SEARCH} in it. "
                f"Received: {self.path}, {what}."
            )
        return found

    def data_card(self) -> DataCard | None:
        """Return the card of the images; None if no `ImageData` has been searched here."""
        return self.read(DataCard, DATA)

    def read_data(self) -> DataCard:
        """Return the card of the images.

        Raises:
            StorageError: if there is none.
        """
        return DataCard.load(self.path / DATA)

    def split(self) -> Split | None:
        """Return the labels and the index sets; None if the search was not on an `ImageData`.

        Raises:
            StorageError: if the file is damaged.
        """
        path = self.path / SPLIT
        if not path.is_file():
            return None
        # NumPy would leave a damaged file open.
        with content_checked(path), path.open("rb") as file, np.load(file) as arrays:
            split = Split(
                arrays["labels"],
                {name: arrays[name] for name in PARTS if name in arrays},
                arrays.get("predicted"),
                arrays.get("groups"),
            )
            for rows in (split.labels, *split.indices.values(), split.predicted_labels):
                if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
                    raise TypeError(f"expected (N,) integers, received {rows.dtype} {rows.shape}")
            for rows in split.indices.values():
                _ = split.labels[rows]
            return split

    def read_split(self) -> Split:
        """Return the labels and the index sets.

        Raises:
            StorageError: if they are missing or damaged.
        """
        found = self.split()
        if found is None:
            raise StorageError(
                f"{self.path} has no {SPLIT}, which a search on an ImageData writes: name the "
                "directory of such a search."
            )
        return found

    def trials(self) -> list[TrialRecord]:
        """Return finished and paused trials, failed ones included, in the order of their start.

        Raises:
            StorageError: if a record is damaged.
        """
        records = [
            record for path in self.trial_folders().values() if (record := trial_record(path))
        ]
        return sorted(records, key=lambda record: record.number)

    def best_trials(self, count: int | None = None) -> list[TrialRecord]:
        """Return trials with a score, best first.

        Args:
            count: How many, at most; all if None.
        """
        search = self.read_search()
        return best_first(self.trials(), search.objective, search.direction)[:count]

    def scored_trials(self) -> list[TrialRecord]:
        """Return trials with a score, best first, at least one.

        Raises:
            SearchError: if there is none.
        """
        found = self.best_trials()
        if not found:
            raise SearchError(
                f"No trial of {self.path} has a score yet: search on, by the same `kt-tuning run` "
                "command or `tuner.search`."
            )
        return found

    def trial_folders(self) -> dict[str, Path]:
        """Return the folders of all trials that were begun, by id."""
        folders = [path for path in sorted(self.path.glob("trial_*")) if path.is_dir()]
        return {path.name.removeprefix("trial_"): path for path in folders}

    def history(self, trial_id: str) -> dict[str, NDArray[np.float64]]:
        """Return the learning curves of a trial; see `read_history`. Empty if it has none.

        Raises:
            StorageError: if the file is damaged.
        """
        folder = trial_folder(self.path, trial_id)
        path = folder / HISTORY
        if not path.is_file():
            return {}
        if (folder / RESULT).is_file() and not path.read_bytes().endswith(b"\n"):
            raise StorageError(
                f"{path} is cut short, though its trial has ended. {TrialRecord.way_on}"
            )
        return read_history(path)

    def predictions(self, trial_id: str) -> NDArray[np.float32] | None:
        """Return a trial's probabilities (N, classes) of the predicted rows, or None.

        They are of its best epoch and first execution. A trial that was pruned before its last fold
        has fewer rows.

        Raises:
            StorageError: if the file is damaged.
        """
        return _load_array(trial_folder(self.path, trial_id) / PREDICTIONS)

    def mirrored_predictions(self, trial_id: str) -> NDArray[np.float32] | None:
        """Return a trial's mean probabilities (N, classes) of the rows and their mirror images.

        Returns:
            None if it has not predicted all of them.

        Raises:
            StorageError: if the file is damaged.
        """
        mirrored = _load_array(trial_folder(self.path, trial_id) / MIRRORED)
        plain = self.predictions(trial_id)
        if mirrored is None or plain is None or mirrored.shape != plain.shape:
            return None
        mean: NDArray[np.float32] = np.mean([plain, mirrored], axis=0, dtype=np.float32)
        return mean

    def executions(self, trial_id: str) -> NDArray[np.float32] | None:
        """Return the predictions of each of several executions, (executions, N, classes), or None.

        Raises:
            StorageError: if the file is damaged.
        """
        return _load_array(trial_folder(self.path, trial_id) / EXECUTIONS)

    def predicted_rows(self, trial_id: str) -> int:
        """Return how many rows a trial predicted, in each execution; 0 if it kept no predictions.

        Raises:
            StorageError: if the file is damaged.
        """
        for name in (EXECUTIONS, PREDICTIONS):
            found = _load_array(trial_folder(self.path, trial_id) / name, mapped=True)
            if found is not None:
                return found.shape[-2]
        return 0

    def is_refit(self) -> bool:
        """Whether this is the folder of a refit."""
        return (self.path / REFIT_RECORD).is_file()

    def trained_later(self) -> list[Run]:
        """Return the folders in it of models that were trained after the search, by name."""
        return [Run(path.parent) for path in sorted(self.path.glob(f"*/{CONFIGURATION}"))]

    def newest_export(self) -> Path | None:
        """Return the folder of the newest SavedModel, or None."""
        folders = (self.path / EXPORT).glob("*")
        versions = [path for path in folders if path.is_dir() and path.name.isdecimal()]
        return max(versions, key=lambda path: int(path.name), default=None)


def trial_record(folder: str | Path) -> TrialRecord | None:
    """Return the record in a trial's folder: of its end, or else of its last pause.

    Returns:
        None if the trial has neither.

    Raises:
        StorageError: if it is damaged.
    """
    paths = (Path(folder) / name for name in (RESULT, PAUSE))
    path = next((path for path in paths if path.is_file()), None)
    return None if path is None else TrialRecord.load(path)


def read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read `history.csv`: one row per epoch.

    Args:
        path: The file.

    Returns:
        Column -> (epochs,) values, not-a-number where a cell is empty. A last line without its end,
        as after a kill or a power loss, is left out; no column if there is no other one.

    Raises:
        StorageError: if it is not a table of numbers under a header.
    """
    try:
        table = CsvTable(path)
        rows = table.read()
        columns = {
            name: np.array([float(row[name] or "nan") for row in rows]) for name in table.header
        }
        if columns and ("epoch" not in columns or np.isnan(columns["epoch"]).any()):
            raise ValueError("a row has no epoch")
        return columns
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} should be a table of numbers under a header, one row per epoch: {error}. "
            f"{TrialRecord.way_on}"
        ) from error


def _load_array(path: Path, *, mapped: bool = False) -> NDArray[np.float32] | None:
    if not path.is_file():
        return None
    with content_checked(path, way_on=TrialRecord.way_on):
        array: NDArray[np.float32] = np.load(path, mmap_mode="r" if mapped else None)
        if array.ndim not in (2, 3) or not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"expected probabilities, received {array.dtype} {array.shape}")
        return array
