"""What a tracker is told, and when."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from kt_tuning.core.records import SearchRecord, TrialRecord


@dataclasses.dataclass(frozen=True)
class TrackedSearch:
    """A search, as a tracker sees it.

    Attributes:
        key: Random letters and digits that stay the same when the search is resumed.
        name: The project's name.
        directory: The run directory.
        record: How the search was asked for.
    """

    key: str
    name: str
    directory: Path
    record: SearchRecord


@dataclasses.dataclass(frozen=True)
class TrackedTrial:
    """A trial, as a tracker sees it.

    Attributes:
        trial_id: KerasTuner's id.
        number: Order of start, from 0.
        values: Hyperparameter values.
        directory: Where the trial writes, its `history.csv` among others.
        record: What came of it; None as long as it is not over.
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
        step: Its index, from 0; counted on over folds and executions.
        metrics: What was measured, and the "seconds" that it took.
        time: When it ended, in seconds since 1970, as if the trial had never been interrupted:
            telling of the same epoch twice gives the same time twice.
    """

    step: int
    metrics: dict[str, float]
    time: float


@dataclasses.dataclass(frozen=True)
class SearchOutcome:
    """What came of a search.

    Attributes:
        best: The best trial, or None if none has succeeded.
        finished: Whether it came to its end; otherwise it was interrupted.
        model: The best trial's Keras model, if this tracker takes models and does not have this
            one yet; otherwise None.
    """

    best: TrialRecord | None
    finished: bool
    model: Any | None = None


class Tracker(ABC):
    """A place where a search is also logged.

    Its methods are called one at a time, in a thread of the tracker's own, so that they may be
    slow. Whatever they raise is taken to mean that the place is out of reach: the search goes on,
    and the same call is made again later. After a restart of the search calls go on where they
    were; only the last one may be made again, if the process was killed before that was noted.

    Attributes:
        name: Of the tracker, unique among those of a search.
        takes_models: Whether it wants the best trial's model in the end.
    """

    name: ClassVar[str]
    takes_models: ClassVar[bool] = False

    @abstractmethod
    def search_began(self, search: TrackedSearch) -> None:
        """A search has begun, or is taken up again: once a process, before anything else."""

    @abstractmethod
    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """A trial has begun, or is taken up again: once a process, before its epochs.

        Args:
            trial: The trial.
            logged: Its epochs that the tracker was told of before, by an earlier process.
        """

    @abstractmethod
    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """An epoch of a trial has ended; each is told once, in order."""

    @abstractmethod
    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """A trial is over, whatever came of it."""

    @abstractmethod
    def search_ended(self, outcome: SearchOutcome) -> None:
        """The search has ended, for now at least."""
