"""The trainings of a trial (one per fold and execution), their files, and damaged files.

A power loss may leave files empty or cut short.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import CsvTable, atomic_write, remove_leftovers, sync_file, sync_folder
from kt_tuning.core.json_record import Record, read_json, write_json
from kt_tuning.core.records import PAUSED, TrialRecord
from kt_tuning.run.layout import (
    CHECKPOINT,
    EXECUTIONS,
    HISTORY,
    MIRRORED,
    PAUSE,
    PREDICTIONS,
    RESULT,
    WEIGHTS,
)
from kt_tuning.trials.checkpoint import LAST, UNREADABLE, Checkpoint
from kt_tuning.trials.spec import weights_file
from kt_tuning.trials.weights import save_build_config, save_weights

logger = logging.getLogger("kt_tuning")

OUTCOMES = "runs.json"
COMMITS = (LAST, OUTCOMES, PAUSE, RESULT)
"""Files that are written after the files that they refer to, in this order."""


@dataclasses.dataclass(frozen=True)
class TrainingKey:
    """One of a trial's trainings.

    Attributes:
        index: Its index; all folds are trained once before any is repeated.
        fold: Index of the fold, or None with one split.
        execution: Number of earlier trainings on this fold.
    """

    index: int
    fold: int | None
    execution: int

    @classmethod
    def all(cls, folds: int, executions: int) -> list[Self]:
        """Return all trainings of a trial in order."""
        return [
            cls(execution * folds + fold, fold if folds > 1 else None, execution)
            for execution in range(executions)
            for fold in range(folds)
        ]


@dataclasses.dataclass(frozen=True)
class Outcome(Record):
    """The result of a training.

    Attributes:
        fold: See `TrainingKey`.
        value: Objective at the best epoch.
        metrics: Every metric at the best epoch.
        best_epoch: Its index, from 0.
        epochs: Epochs trained.
        seconds: Wall-clock, building included.
        parameters: Scalars in the model's weights.
        message: Why it was shortened, or None.
        pruned: Whether the pruner stopped it.
    """

    fold: int | None
    value: float
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    parameters: int
    message: str | None
    pruned: bool


class TrialFiles:
    """The files of a trial's trainings, while it runs and afterwards.

    Args:
        directory: Directory of the trial.
        several: Whether the trial has several trainings: those which have ended must then survive
            a power loss while the others run.

    Attributes:
        checkpoint: Of the training that runs.
    """

    def __init__(self, directory: Path, *, several: bool = False) -> None:
        self._directory = directory
        self._several = several
        self._folder = directory / CHECKPOINT
        self.checkpoint = Checkpoint(self._folder)
        self._history = CsvTable(directory / HISTORY)

    def outcomes(self) -> list[Outcome]:
        """Return the trainings that have ended, those of an earlier attempt included."""
        path = self._folder / OUTCOMES
        if not path.exists():
            return []
        try:
            outcomes = [Outcome.from_json(content) for content in read_json(path)["outcomes"]]
            for predictions in self._folder.glob("*.npy"):
                np.load(predictions, mmap_mode="r")
        except UNREADABLE as error:
            logger.warning("%s is damaged (%s): the trial begins anew.", self._folder, error)
            return []
        return outcomes

    def keep(
        self,
        model: keras.Model,
        run: TrainingKey,
        predictions: NDArray[np.float32] | None,
        *,
        mirrored: NDArray[np.float32] | None = None,
        built_by_fit: bool = False,
    ) -> None:
        """Write the validation predictions of a training, and the weights of the first execution.

        Args:
            model: With the weights.
            run: The training.
            predictions: (n, C), or None.
            mirrored: (n, C) of the mirror images, or None.
            built_by_fit: Whether the hypermodel returned the model unbuilt: then how it was built
                is written, too.
        """
        if predictions is not None:
            self._folder.mkdir(exist_ok=True)
            name = _predictions(run.execution, run.fold)
            _save(self._folder / name, predictions, durable=self._several)
        if mirrored is not None:
            _save(self._folder / _mirrored(run.fold), mirrored, durable=self._several)
        if run.execution or not model.built:
            # A hypermodel's own `fit` need not train it.
            return
        path = weights_file(self._directory, run.fold)
        with atomic_write(path, durable=True, sync_name=False) as temporary:
            save_weights(model, temporary)
        if built_by_fit:
            save_build_config(model, self._directory)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write the results of the trainings that have ended, and remove the checkpoint."""
        self._folder.mkdir(exist_ok=True)
        content = {"outcomes": [outcome.to_json() for outcome in outcomes]}
        write_json(self._folder / OUTCOMES, content, durable=self._several)
        self.checkpoint.clear()

    def finish(self, folds: Sequence[int | None], executions: int = 1) -> None:
        """Concatenate the predictions of all folds in order, also those of each execution."""
        rows = [[self._folder / _predictions(e, fold) for fold in folds] for e in range(executions)]
        # A shortened trial lacks the last ones.
        first = [np.load(path) for path in rows[0] if path.exists()]
        if first:
            _save(self._directory / PREDICTIONS, np.concatenate(first), durable=True)
        mirrored = [self._folder / _mirrored(fold) for fold in folds]
        if all(path.exists() for path in mirrored):
            joined = np.concatenate([np.load(path) for path in mirrored])
            _save(self._directory / MIRRORED, joined, durable=True)
        rows = [row for row in rows if all(path.exists() for path in row)]
        if len(rows) > 1:
            stacked = np.stack([np.concatenate([np.load(path) for path in row]) for row in rows])
            _save(self._directory / EXECUTIONS, stacked, durable=True)

    def add_epoch(
        self,
        run: int,
        epoch: int,
        seconds: float,
        numbers: dict[str, float],
        *,
        data_wait: float | None,
    ) -> None:
        """Write a row of `history.csv`; with several trainings it has a column "run".

        Args:
            run: Index of the training, from 0.
            epoch: Index, from 0.
            seconds: Wall-clock of the epoch, evaluation included.
            numbers: Metrics.
            data_wait: Share of the training time that was spent waiting for data, in [0, 1]; None
                (unknown) leaves the field empty.
        """
        row: dict[str, Any] = {"run": run} if self._several else {}
        wait = None if data_wait is None else round(data_wait, 4)
        row.update(epoch=epoch, seconds=round(seconds, 3), data_wait=wait, **numbers)
        self._history.add(row)

    def epochs(self, run: int) -> int:
        """Return the number of complete rows of a training in the history."""
        return sum(row.get("run", "0") == str(run) for row in self._history.read())

    def rewind_history(self, run: int, epoch: int) -> None:
        """Remove the rows that a killed attempt wrote after its last checkpoint.

        Args:
            run: Index of the training that continues.
            epoch: Index of its next epoch.
        """
        if self._history.path.exists():
            self._history.replace(
                row
                for row in self._history.read()
                if row.get("epoch", "").isdecimal()
                and (int(row.get("run", 0)), int(row["epoch"])) < (run, epoch)
            )

    def end(self, record: TrialRecord) -> TrialRecord:
        """Write the record of a trial that has ended or paused, and return it."""
        if record.status == PAUSED:
            record.save(self._directory / PAUSE)
            return record
        if self._history.path.exists():
            sync_file(self._history.path)
        sync_folder(self._directory.parent)
        record.save(self._directory / RESULT)
        self.clear()
        return record

    def clear(self) -> None:
        """Remove the files that only a resumed trial needs."""
        (self._directory / PAUSE).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        remove_leftovers(self._directory)


def damaged_files(folder: Path) -> list[Path]:
    """Return the unreadable files of a trial, apart from its checkpoint and failed attempts.

    Headers and lengths are checked, not every byte. Files that no trial writes, and KerasTuner's
    trial.json, which nothing here reads, are ignored.

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


def _read_curve(path: Path) -> None:
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("The last row is cut short.")


_READERS: dict[str, Callable[[Path], object]] = {
    RESULT: TrialRecord.load,
    PAUSE: TrialRecord.load,
    HISTORY: _read_curve,
    PREDICTIONS: _read_array,
    MIRRORED: _read_array,
    EXECUTIONS: _read_array,
    WEIGHTS: lambda path: h5py.File(path, "r").close(),
}


def _predictions(execution: int, fold: int | None) -> str:
    prefix = f"execution_{execution}" if execution else "predictions"
    return f"{prefix}_{fold or 0}.npy"


def _mirrored(fold: int | None) -> str:
    return f"mirrored_{fold or 0}.npy"


def _save(path: Path, array: NDArray[Any], *, durable: bool) -> None:
    # The result of the training or the trial, which comes later, flushes the name.
    with atomic_write(path, durable=durable, sync_name=False) as temporary:
        np.save(temporary, array)
