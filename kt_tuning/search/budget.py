"""When a search has done enough."""

from __future__ import annotations

import dataclasses
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
LAST_CHANCE = (1.1, 1.75)
"""A training like an earlier one is begun when between so many times as much time is left as that
one took: it may take longer, and whoever asks next may ask too late."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """When no further trial is begun.

    Attributes:
        epochs: Epochs of a full training.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        seconds: Wall-clock of the search from its beginning, all workers together, or None.
        trial_seconds: Wall-clock of one trial, at most, or None.
        max_stale_trials: Finished trials without a better one after which the search ends, or
            None.
    """

    epochs: int
    deadline: float | None = None
    seconds: float | None = None
    trial_seconds: float | None = None
    max_stale_trials: int | None = None

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

    def is_last_chance(self, trial: TrialRecord) -> bool:
        """Whether another training like this one fits in if it is begun now, and hardly later."""
        if self.deadline is None:
            return False
        least, most = (factor * trial.seconds for factor in LAST_CHANCE)
        return least <= self.deadline - time.monotonic() < most

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
