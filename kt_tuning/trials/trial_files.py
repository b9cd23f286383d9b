"""The trainings of a trial (one a fold and execution) and their files."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.records import (
    EXECUTIONS,
    PAUSE,
    PREDICTIONS,
    RESULT,
    Record,
    read_json,
    replacing,
    write_json,
)
from kt_tuning.trials.checkpoint import LAST, Checkpoint
from kt_tuning.trials.spec import weights_file
from kt_tuning.trials.weights import save_weights

CHECKPOINT = "checkpoint"
"""Folder of a running trial; removed when it has ended."""
OUTCOMES = "runs.json"
COMMITS = (LAST, OUTCOMES, PAUSE, RESULT)
"""Files that are written after the files that they refer to, in this order."""


@dataclasses.dataclass(frozen=True)
class Run:
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
        fold: See `Run`.
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


def mean_metrics(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the mean of each metric over all trainings that have it."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.metrics)
    return {
        name: float(np.mean([o.metrics[name] for o in outcomes if name in o.metrics]))
        for name in names
    }


class TrialFiles:
    """The files of a trial's trainings, while it runs and afterwards.

    Args:
        directory: Directory of the trial.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder = directory / CHECKPOINT
        self.checkpoint = Checkpoint(self._folder)

    def outcomes(self) -> list[Outcome]:
        """Return the trainings that have ended, those of an earlier attempt included."""
        path = self._folder / OUTCOMES
        if not path.exists():
            return []
        return [Outcome.from_json(content) for content in read_json(path)["outcomes"]]

    def keep(
        self, model: keras.Model, fold: int | None, predictions: NDArray[np.float32] | None
    ) -> None:
        """Write the weights and the validation predictions of a fold."""
        if predictions is not None:
            self._folder.mkdir(exist_ok=True)
            _save(self._folder / _predictions(fold), predictions)
        with replacing(weights_file(self._directory, fold)) as path:
            save_weights(model, path)

    def keep_execution(self, run: Run, predictions: NDArray[np.float32]) -> None:
        """Write the validation predictions of one of several executions."""
        self._folder.mkdir(exist_ok=True)
        _save(self._folder / _execution(run.execution, run.fold), predictions)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write the results of the trainings that have ended, and remove the checkpoint."""
        self._folder.mkdir(exist_ok=True)
        content = {"outcomes": [outcome.to_json() for outcome in outcomes]}
        write_json(self._folder / OUTCOMES, content)
        self.checkpoint.clear()

    def finish(self, folds: Sequence[int | None], executions: int = 1) -> None:
        """Concatenate the predictions of all folds in order, also those of each execution."""
        paths = [self._folder / _predictions(fold) for fold in folds]
        arrays = [np.load(path) for path in paths if path.exists()]
        if arrays:
            _save(self._directory / PREDICTIONS, np.concatenate(arrays))
        rows = [[self._folder / _execution(e, fold) for fold in folds] for e in range(executions)]
        # A shortened trial lacks the last ones.
        rows = [row for row in rows if all(path.exists() for path in row)]
        if len(rows) > 1:
            stacked = np.stack([np.concatenate([np.load(path) for path in row]) for row in rows])
            _save(self._directory / EXECUTIONS, stacked)

    def clear(self) -> None:
        """Remove the files that only a resumed trial needs."""
        (self._directory / PAUSE).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def _predictions(fold: int | None) -> str:
    return f"predictions_{fold or 0}.npy"


def _execution(execution: int, fold: int | None) -> str:
    return f"execution_{execution}_{fold or 0}.npy"


def _save(path: Path, array: NDArray[Any]) -> None:
    with replacing(path) as temporary:
        np.save(temporary, array)
