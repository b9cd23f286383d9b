"""The interface of trackers."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from kt_tuning.core.records import SearchRecord, TrialRecord


@dataclasses.dataclass(frozen=True)
class TrackedSearch:
    """A search, as trackers receive it.

    Attributes:
        key: Random letters and digits, the same when the search is resumed.
        name: Name of the project.
        directory: The run directory.
        record: Settings of the search.
    """

    key: str
    name: str
    directory: Path
    record: SearchRecord


@dataclasses.dataclass(frozen=True)
class TrackedTrial:
    """A trial, as trackers receive it.

    Attributes:
        trial_id: KerasTuner's id.
        number: Order of start, from 0.
        values: Hyperparameter values.
        directory: Directory of the trial with its `history.csv`.
        record: Result of the trial; None while it runs.
    """

    trial_id: str
    number: int
    values: dict[str, Any]
    directory: Path
    record: TrialRecord | None = None


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a trial.

    Attributes:
        step: Its index from 0, counted over all folds and executions.
        metrics: Metrics, and the wall-clock time "seconds".
        time: Time of its end in seconds since 1970, as if the trial had never been interrupted: the
            same epoch always has the same time.
    """

    step: int
    metrics: dict[str, float]
    time: float


@dataclasses.dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    Attributes:
        best: The best trial, or None if none has succeeded.
        finished: Whether the search has ended; false if it was interrupted.
        model: The Keras model of the best trial if the tracker takes models and has not received
            this one yet, else None.
    """

    best: TrialRecord | None
    finished: bool
    model: Any | None = None


def best_metrics(record: TrialRecord) -> dict[str, float]:
    """Return a trial's metrics at its best epoch, as trackers name them: "best/val_accuracy"."""
    return {f"best/{name}": value for name, value in record.metrics.items()}


class Tracker(ABC):
    """The base class of trackers, which log a search to an experiment tracker.

    Its methods are called one at a time in a background thread, so they may be slow. An exception
    means that the tracker cannot be reached: the search continues and the call is repeated later.
    After a restart of the search the calls continue where they stopped; only the last one may be
    repeated, if the process was killed before the call was recorded.

    Attributes:
        name: Name of the tracker, unique in a search.
        takes_models: Whether it logs the model of the best trial at the end.
    """

    name: ClassVar[str]
    takes_models: ClassVar[bool] = False

    @abstractmethod
    def search_began(self, search: TrackedSearch) -> None:
        """Log that a search begins or is resumed; called once per process, before other methods."""

    @abstractmethod
    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Log that a trial begins or is resumed; called once per process, before its epochs.

        Args:
            trial: The trial.
            logged: Number of its epochs that earlier processes have logged.
        """

    @abstractmethod
    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """Log an epoch of a trial; called once per epoch, in order."""

    @abstractmethod
    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """Log the result of a trial."""

    @abstractmethod
    def search_ended(self, outcome: SearchOutcome) -> None:
        """Log the result of the search, which may be resumed later."""
