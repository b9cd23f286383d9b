"""Passing a search to all of its trackers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.records import PAUSED, SearchRecord, TrialRecord
from kt_tuning.tracking.background import BackgroundTracker
from kt_tuning.tracking.delivered import search_key
from kt_tuning.tracking.tracker import SearchOutcome, TrackedSearch, TrackedTrial, Tracker

logger = logging.getLogger("kt_tuning")


class Tracking:
    """Passes results to trackers without waiting for them before `close`.

    Args:
        trackers: Any number of trackers.
        directory: The run directory.
        record: Settings of the search.
        trials: Finished and paused trials of earlier runs, which trackers may lack.

    Attributes:
        finished: Whether the search has ended; set by the search.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        directory: Path,
        record: SearchRecord,
        trials: Iterable[TrialRecord] = (),
    ) -> None:
        self.finished = False
        self._background: list[BackgroundTracker] = []
        if trackers:
            key = search_key(directory)
            search = TrackedSearch(key, directory.resolve().name, directory, record)
            self._background = [BackgroundTracker(tracker, search) for tracker in trackers]
            for trial in trials:
                folder = directory / f"trial_{trial.trial_id}"
                ended = None if trial.status == PAUSED else trial
                self.tell(TrackedTrial(trial.trial_id, trial.number, trial.values, folder, ended))

    def tell(self, trial: TrackedTrial) -> None:
        """Log a trial that has started, finished an epoch or ended."""
        for each in self._background:
            each.tell(trial)

    def close(self, best: TrialRecord | None, model: Callable[[], Any]) -> None:
        """Log the end of the search and wait for the trackers, with a time limit.

        Args:
            best: The best trial, or None.
            model: Makes the best trial's model; called only if a tracker takes it.
        """
        wanting = [
            each
            for each in self._background
            if self.finished and best and each.takes_models and each.delivered.best != best.trial_id
        ]
        made = None
        if wanting:
            try:
                made = model()
            except Exception as error:
                logger.warning("The best model is not logged: it cannot be made (%s).", error)
        for each in self._background:
            wanted = made if each in wanting else None
            each.close(SearchOutcome(best, self.finished, wanted))
