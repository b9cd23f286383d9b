"""When a search has done enough."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence

from kt_tuning.records import FAILED, INFEASIBLE, TrialRecord
from kt_tuning.units import clock

HOPELESS = 5
"""Failed trials after which a search without any success gives up: nothing it tries can work."""
ALL_INFEASIBLE = 50
"""The same, of configurations over a limit, which cost next to nothing."""
WORTHWHILE_EPOCHS = 5
NEIGHBOURS, SHARE = 4, 0.4
"""At the end of a limited time so many neighbours of the best trial are trained, if that takes no
more than this share of the whole: with it they make an ensemble of the usual five."""
LATEST, EARLIEST = 1.1, 0.75
"""In trainings of the best trial: the last neighbour is begun with so many of them left at least,
as it may take longer; the first one with no more left than all of them take and so much besides, as
whoever asks next may ask too late."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """When no further trial is begun.

    Attributes:
        epochs: Epochs of a full training.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        time_limit: Seconds from the beginning of the search to the deadline, or None.
        workers: Trials at the same time.
        trial_seconds: Wall-clock of one trial, at most, or None.
        max_stale_trials: Finished trials without a better one after which the search ends, or
            None.
    """

    epochs: int
    deadline: float | None = None
    time_limit: float | None = None
    workers: int = 1
    trial_seconds: float | None = None
    max_stale_trials: int | None = None

    @property
    def seconds(self) -> float | None:
        """Wall-clock of the search from its beginning, all workers together, or None."""
        return None if self.time_limit is None else self.time_limit * self.workers

    @property
    def worthwhile_epochs(self) -> int:
        """With fewer epochs than these before the deadline a trial is not worth its time."""
        return min(WORTHWHILE_EPOCHS, self.epochs)

    def has_time_for(self, epochs: float, trials: Sequence[TrialRecord]) -> bool:
        """Whether so many more epochs of a usual trial fit in, as far as one can tell.

        Args:
            epochs: Of one trial.
            trials: Finished and paused ones.
        """
        trained = [trial for trial in trials if trial.usable and trial.epochs]
        if self.deadline is None or not trained:
            return True
        epoch = statistics.median(trial.seconds / trial.epochs for trial in trained)
        return self.deadline - time.monotonic() >= epochs * epoch

    def is_last_chance(self, best: TrialRecord, begun: int) -> bool:
        """Whether it is time for a neighbour of the best trial: it fits in, and hardly any other.

        Args:
            best: A whole training.
            begun: Neighbours that have begun before.
        """
        if self.deadline is None or self.seconds is None or not best.seconds:
            return False
        count = min(NEIGHBOURS, int(SHARE * self.seconds / best.seconds)) - begun
        left = (self.deadline - time.monotonic()) / best.seconds
        return count > 0 and LATEST <= left < math.ceil(count / self.workers) + EARLIEST

    def trial_deadline(self, spent: float = 0.0) -> float | None:
        """Value of `time.monotonic()` at which a trial that runs now is stopped.

        Args:
            spent: Seconds that it has run before.
        """
        own = None
        if self.trial_seconds is not None:
            own = time.monotonic() + self.trial_seconds - spent
        times = [moment for moment in (own, self.deadline) if moment is not None]
        return min(times, default=None)

    def exhausted(
        self, trials: Sequence[TrialRecord], best: TrialRecord | None, *, running: bool
    ) -> str | None:
        """Why no further trial is begun, or None if one is.

        Args:
            trials: Finished ones, in order of their end.
            best: Of these, or None.
            running: Whether other trials are still running.
        """
        if best is None:
            counts = {status: 0 for status in (FAILED, INFEASIBLE)}
            for trial in trials:
                counts[trial.status] += 1
            if counts[FAILED] >= HOPELESS or counts[INFEASIBLE] >= ALL_INFEASIBLE:
                return f"none of {len(trials)} trials succeeded"
        elif self.max_stale_trials is not None:
            ids = [trial.trial_id for trial in trials]
            stale = len(ids) - 1 - ids.index(best.trial_id)
            if stale >= self.max_stale_trials:
                return f"{stale} trials in a row found nothing better"
        return self._too_late(trials, running)

    def _too_late(self, trials: Sequence[TrialRecord], running: bool) -> str | None:
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        trained = [trial for trial in trials if trial.epochs]
        if not trained:
            # Nothing is known of how long an epoch takes; one trial is always worth a try.
            return "time is up" if running and left <= 0 else None
        epoch = min(trial.seconds / trial.epochs for trial in trained)
        if left < epoch * self.worthwhile_epochs:
            return f"{clock(max(0.0, left))} left, too little for another trial"
        return None
