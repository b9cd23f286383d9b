"""When a search has done enough."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping, Sequence

from kt_tuning.core.records import FAILED, INFEASIBLE, TrialRecord
from kt_tuning.core.units import clock
from kt_tuning.search.families import family_of

HOPELESS = 5
"""Failed trials after which a search without any success gives up: nothing it tries can work."""
ALL_INFEASIBLE = 50
"""The same, of configurations over a limit, which cost next to nothing."""
WORTHWHILE_EPOCHS = 5
UNKNOWN_SHARE = 0.25
"""Share of the time limit that is left at least when the first trial of a family is begun."""
FIRST_SHARE, FIRST_LEAST = 0.25, 5.0
"""Share of the time limit, and seconds at least, after which the first trial of a search takes what
it has, if it is one that is done after one epoch: there is a model early."""
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
        family_epochs: Epochs of a full training of each family, where they differ from `epochs`.
    """

    epochs: int
    deadline: float | None = None
    time_limit: float | None = None
    workers: int = 1
    trial_seconds: float | None = None
    max_stale_trials: int | None = None
    family_epochs: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """Wall-clock of the search from its beginning, all workers together, or None."""
        return None if self.time_limit is None else self.time_limit * self.workers

    def epochs_of(self, family: str) -> int:
        """Epochs of a full training of a family."""
        return self.family_epochs.get(family, self.epochs)

    def ends_at_once(self, family: str) -> bool:
        """Whether a trial of a family is done after one epoch, where others train several."""
        return self.epochs_of(family) == 1 < self.epochs

    def worthwhile_epochs(self, family: str) -> int:
        """With fewer epochs before the deadline a trial of a family is not worth its time."""
        return min(WORTHWHILE_EPOCHS, self.epochs_of(family))

    def has_time_for(self, share: float, trials: Sequence[TrialRecord]) -> bool:
        """Whether such a share of a usual full training fits in, as far as one can tell.

        Of several families one for which it does is enough. Those that are done after one epoch do
        not count, unless there are no others.

        Args:
            share: Of the epochs of one trial, 0 to 1.
            trials: Finished and paused ones.
        """
        costs = _seconds_of_epochs(trials)
        if self.deadline is None or not costs:
            return True
        long = {family for family in costs if self.epochs_of(family) > 1}
        left = self.deadline - time.monotonic()
        return any(
            left >= share * self.epochs_of(family) * statistics.median(costs[family])
            for family in long or costs
        )

    def affordable(self, families: Sequence[str], trials: Sequence[TrialRecord]) -> list[str]:
        """The families of which a worthwhile trial fits in, as far as one can tell.

        Args:
            families: All of them.
            trials: Finished and paused ones.

        Returns:
            Some of them, in their order; all of them as long as nothing is known.
        """
        costs = _seconds_of_epochs(trials)
        if self.deadline is None or self.time_limit is None or not costs:
            return list(families)
        left = self.deadline - time.monotonic()
        least = {
            family: self.worthwhile_epochs(family) * statistics.median(seconds)
            for family, seconds in costs.items()
        }
        unknown = UNKNOWN_SHARE * self.time_limit
        return [family for family in families if left >= least.get(family, unknown)]

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

    def trial_deadline(self, spent: float = 0.0, *, early: bool = False) -> float | None:
        """Value of `time.monotonic()` at which a trial that runs now is stopped.

        Args:
            spent: Seconds that it has run before.
            early: Whether there should be a model after the first part of the time.
        """
        limits = [] if self.trial_seconds is None else [self.trial_seconds - spent]
        if early and self.time_limit is not None:
            limits.append(max(FIRST_SHARE * self.time_limit, FIRST_LEAST))
        times = [time.monotonic() + limit for limit in limits]
        return min([*times, *([] if self.deadline is None else [self.deadline])], default=None)

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
        if left < min(
            min(seconds) * self.worthwhile_epochs(family)
            for family, seconds in _seconds_of_epochs(trained, usable=False).items()
        ):
            return f"{clock(max(0.0, left))} left, too little for another trial"
        return None


def _seconds_of_epochs(
    trials: Sequence[TrialRecord], *, usable: bool = True
) -> dict[str, list[float]]:
    """By family: the seconds of an epoch of each trial that had any.

    Args:
        trials: Finished and paused ones.
        usable: Whether only those count that have a score.
    """
    found: dict[str, list[float]] = {}
    for trial in trials:
        if trial.epochs and (trial.usable or not usable):
            family = family_of(trial.values)
            found.setdefault(family, []).append(trial.seconds / trial.epochs)
    return found
