"""The run directory: what a search writes and finds again."""

from __future__ import annotations

import csv
import importlib.metadata
import itertools
import math
import os
import platform
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from kt_tuning.data import ImageData
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.errors import SearchError, StorageError
from kt_tuning.evaluation.held_out import HELD_OUT_USES
from kt_tuning.records import (
    FAILED,
    HISTORY,
    PAUSE,
    PAUSED,
    PREDICTIONS,
    RESULT,
    DataCard,
    SearchRecord,
    TrialRecord,
)
from kt_tuning.search.halving import Point
from kt_tuning.search.lock import LOCK, RunLock
from kt_tuning.trials.runs import CHECKPOINT

FAILED_ATTEMPT = "failed_{}.json"
"""File of a trial that was tried again: the record of an attempt that failed, from 1."""


class RunDirectory:
    """One search on disk; `kt_tuning.records` lists its files.

    Args:
        path: The directory; made if missing.
        objective: What is optimised; it decides which trial is best.
        overwrite: Whether what is there is deleted first.

    Raises:
        StorageError: if the directory cannot be written.
    """

    def __init__(self, path: Path, objective: keras_tuner.Objective, *, overwrite: bool) -> None:
        self.path = path
        self._objective = objective
        self._records: dict[str, TrialRecord] = {}
        try:
            path.mkdir(parents=True, exist_ok=True)
            if overwrite:
                self._clear()
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                f"Cannot write the run directory {path}: {error.strerror}. Choose another one."
            ) from error
        if not os.access(path, os.W_OK):
            raise StorageError(f"The run directory {path} is read-only. Choose another one.")

    def _clear(self) -> None:
        """Delete all but the lock and the uses of the test split, if no other process is here."""
        with RunLock(self.path):
            for entry in self.path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name not in (LOCK, HELD_OUT_USES):
                    entry.unlink()

    def check_unchanged(self, known: Collection[str]) -> None:
        """Refuse to go on where another process has been since the tuner was made.

        Args:
            known: Ids of the trials that the oracle knows.

        Raises:
            StorageError: if there are others.
        """
        folders = [path for path in self.path.glob("trial_*") if path.is_dir()]
        found = {path.name.removeprefix("trial_") for path in folders}
        if new := found - set(known):
            raise StorageError(
                f"Another process has added {len(new)} trials to {self.path} since this tuner was "
                "made. Make it anew to go on from there."
            )

    def trial(self, trial_id: str) -> Path:
        """The folder of a trial; made if missing."""
        folder = self.path / f"trial_{trial_id}"
        folder.mkdir(exist_ok=True)
        return folder

    def predictions(self, trial_id: str) -> NDArray[np.float32]:
        """A trial's probabilities (N, classes) on the validation split, at its best epoch.

        Raises:
            SearchError: if the trial kept none.
        """
        path = self.trial(trial_id) / PREDICTIONS
        if not path.exists():
            raise SearchError(
                f"Trial {trial_id} kept no validation predictions: its model does not return "
                "probabilities (N, classes)."
            )
        predictions: NDArray[np.float32] = np.load(path)
        return predictions

    def note(self, record: TrialRecord) -> None:
        """Remember a trial that has just ended."""
        self._records[record.trial_id] = record

    def finished(self) -> list[TrialRecord]:
        """Finished and paused trials, failed ones included, in the order of their end."""
        # A result is never changed, but that of a failed trial may be set aside for another one.
        for name in (RESULT, PAUSE):
            for path in self.path.glob(f"trial_*/{name}"):
                trial_id = path.parent.name.removeprefix("trial_")
                known = self._records.get(trial_id)
                # One that paused may have ended since, in another process.
                if known is None or (known.status in (PAUSED, FAILED) and name == RESULT):
                    self._records[trial_id] = TrialRecord.load(path)
        return sorted(self._records.values(), key=lambda r: (r.began + r.seconds, r.number))

    def failures(self, trial_id: str) -> int:
        """The number of a trial's failed attempts that were set aside."""
        return len(list(self.trial(trial_id).glob(FAILED_ATTEMPT.format("*"))))

    def set_aside(self, trial_id: str, failures: int) -> None:
        """Keep the result and the curve of a failed attempt under other names: it is tried again.

        Nothing happens if that was done before.

        Args:
            trial_id: Of the trial.
            failures: Attempts of it that failed, this one included.
        """
        folder = self.trial(trial_id)
        kept, result = folder / FAILED_ATTEMPT.format(failures), folder / RESULT
        if kept.exists() or not result.exists():
            return
        # A trial whose worker died has a checkpoint, and its curve goes on from there.
        if (folder / HISTORY).exists() and not (folder / CHECKPOINT).exists():
            (folder / HISTORY).replace(kept.with_suffix(".csv"))
        result.replace(kept)
        self._records.pop(trial_id, None)

    def trials(self) -> list[TrialRecord]:
        """Finished and paused trials, failed ones included, in the order of their start."""
        return sorted(self.finished(), key=lambda record: record.number)

    def best_trials(self, count: int | None = None) -> list[TrialRecord]:
        """The completed and pruned trials, best first; all of them if `count` is None."""
        name, direction = self._objective.name, self._objective.direction
        done = [record for record in self.trials() if record.usable]
        done.sort(key=lambda record: record.metrics[name], reverse=direction == "max")
        return done[:count]

    def curves(self) -> dict[str, list[Point]]:
        """By trial: a point an epoch, of trials that failed without any score as well."""
        folders = [path.parent for path in self.path.glob(f"trial_*/{HISTORY}")]
        ids = [folder.name.removeprefix("trial_") for folder in folders]
        return {trial_id: self.curve(trial_id) for trial_id in ids}

    def curve(self, trial_id: str) -> list[Point]:
        """A point an epoch of a trial; none if it has not had any."""
        path = self.trial(trial_id) / HISTORY
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get(self._objective.name)]
        ends = itertools.accumulate(float(row["seconds"]) for row in rows)
        values = (float(row[self._objective.name]) for row in rows)
        points = enumerate(zip(ends, values, strict=True), 1)
        return [Point(done, end, value) for done, (end, value) in points]

    def seconds(self, trial_id: str) -> float:
        """Wall-clock of a finished or paused trial."""
        return self._records[trial_id].seconds

    def seconds_spent(self) -> float:
        """Wall-clock of all trials until now; that of trials side by side counts once."""
        known = [(record.began, record.began + record.seconds) for record in self.trials()]
        spent, until = 0.0, -math.inf
        for began, ended in sorted([*known, *self._unfinished()]):
            spent += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return spent

    def _unfinished(self) -> list[tuple[float, float]]:
        """From when until when trials trained that have not ended: since their last pause."""
        found = []
        for trial_id, curve in self.curves().items():
            record = self._records.get(trial_id)
            known = 0 if record is None else record.epochs
            if len(curve) > known and (record is None or record.status == PAUSED):
                before = curve[known - 1].seconds if known else 0.0
                ended = (self.trial(trial_id) / HISTORY).stat().st_mtime
                found.append((ended - (curve[-1].seconds - before), ended))
        return found

    def claim(self, data: ImageData, validated: Sequence[NDArray[np.int64]]) -> None:
        """Note the data of this run.

        Args:
            data: The images.
            validated: Places of the images that each fold is validated on.

        Raises:
            StorageError: if the run began with other data.
        """
        path = self.path / "data.json"
        if path.exists():
            known = DataCard.load(path)
            if known.fingerprint != data.fingerprint:
                raise StorageError(
                    f"{self.path} holds a search on other data: {known.source}, fingerprint "
                    f"{known.fingerprint[:12]}; now {data.fingerprint[:12]}. Choose another "
                    "project_name, or pass overwrite=True."
                )
        data.card.save(path)
        data.save_split(self.path / "split.npz", predicted=np.concatenate(validated))

    def write_search(self, record: SearchRecord) -> None:
        """Note how the search was asked for."""
        record.save(self.path / "search.json")

    def write_ensemble(self, record: EnsembleRecord) -> None:
        """Note which trials were combined."""
        record.save(self.path / "ensemble.json")

    def read_search(self) -> SearchRecord:
        """How the search was asked for, the last time.

        Raises:
            StorageError: if there was none.
        """
        return SearchRecord.load(self.path / "search.json")


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    names = ("kt-tuning", "keras", "keras-tuner", "numpy", "pillow", keras.backend.backend())
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}
