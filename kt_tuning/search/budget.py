"""When a search ends, and which trials its remaining time allows."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hypermodels import FAMILY
from kt_tuning.core.records import FAILED, INFEASIBLE, TrialRecord
from kt_tuning.core.units import clock
from kt_tuning.data import ImageData

MAX_FAILURES = 5
"""Failed trials after which a search without any success ends."""
MAX_INFEASIBLE = 50
"""Configurations over a limit after which such a search ends; they take hardly any time."""
WORTHWHILE_EPOCHS = 5
"""Epochs that must fit into the remaining time for a trial to start."""
UNKNOWN_SHARE = 0.25
"""Share of the time limit that must remain for the first trial of a family to start."""
FIRST_SHARE, FIRST_LEAST = 0.25, 20.0
"""Deadline of the first trial if it trains one epoch or is a starting point for the images: a share
of the time limit, and a minimum in seconds. There is then a model early."""
PERTURBATIONS, SHARE = 4, 0.4
"""Perturbations of the best trial at the end of a limited time, and the largest share of the time
limit that they may take. With the best trial they make an ensemble of the usual size, 5."""
LATEST, EARLIEST = 1.1, 0.75
"""In units of `t`, the training time of the best trial: a perturbation starts only if `LATEST * t`
remains, and the first one starts when the remaining time falls below the time of all of them plus
`EARLIEST * t`."""
LEAST_EPOCHS, MOST_EPOCHS, SEEN_IMAGES = 30, 60, 240_000
"""Default epochs of a full training, and images that one sees in them: few images need more epochs
for as many steps. 60 instead of 30 epochs of 4,000 images of CIFAR-10 raise the validation accuracy
of `ConvNet`'s defaults from 71.7 to 74.3%."""
ONLY_FAMILY = ""
"""Name of the family in a search without several families."""


def family_of(values: Mapping[str, Any]) -> str:
    """Return the family of a configuration."""
    return str(values.get(FAMILY, ONLY_FAMILY))


def default_epochs(data: ImageData | None) -> int:
    """Return the epochs of a full training if none are given.

    They are 60 for up to 4,000 training images, 30 from 8,000 on, and 30 if there is no data set.
    """
    if data is None:
        return LEAST_EPOCHS
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, SEEN_IMAGES // max(1, len(data.train))))


def epochs_by_family(hypermodel: Any, epochs: int) -> dict[str, int]:
    """Return the epochs of a full training of each family.

    The families are the `members` of a hypermodel, as of `hypermodels.Families`, if it has any.
    Those whose `by_epochs` is false train one epoch.
    """
    members = getattr(hypermodel, "members", None) or {ONLY_FAMILY: hypermodel}
    return {
        family: epochs if getattr(member, "by_epochs", True) else 1
        for family, member in members.items()
    }


@dataclasses.dataclass(frozen=True)
class Budget:
    """The epochs, time and workers of a search.

    Attributes:
        epochs: Epochs of a full training.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        time_limit: Seconds from the beginning of the search to the deadline, or None.
        workers: Number of trials at the same time.
        trial_seconds: Largest wall-clock of one trial in seconds, or None.
        max_stale_trials: Finished trials without a better one after which the search ends, or
            None.
        family_epochs: Epochs of a full training by family, where they differ from `epochs`.
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
        """Time limit times the number of workers, or None."""
        return None if self.time_limit is None else self.time_limit * self.workers

    def epochs_of(self, family: str) -> int:
        """Return the epochs of a full training of a family."""
        return self.family_epochs.get(family, self.epochs)

    def ends_at_once(self, family: str) -> bool:
        """Whether a family trains one epoch while others train several."""
        return self.epochs_of(family) == 1 < self.epochs

    def worthwhile_epochs(self, family: str) -> int:
        """Return the epochs that must fit before the deadline for a trial of a family to start."""
        return min(WORTHWHILE_EPOCHS, self.epochs_of(family))

    def has_time_for(self, share: float, trials: Sequence[TrialRecord]) -> bool:
        """Whether a share, from 0 to 1, of a typical full training fits into the remaining time.

        True if it fits for one of several families. Families that train one epoch are ignored,
        unless there are no others. True if the cost of an epoch is unknown.
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
        """Return the families of which a worthwhile trial fits into the remaining time, in order.

        These are all of them if no cost is known.
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
        """Whether a perturbation of the best trial should start now, see `LATEST`.

        Args:
            best: The best trial, trained to its end.
            begun: Number of perturbations that have started.
        """
        if self.deadline is None or self.seconds is None or not best.seconds:
            return False
        count = min(PERTURBATIONS, int(SHARE * self.seconds / best.seconds)) - begun
        left = (self.deadline - time.monotonic()) / best.seconds
        return count > 0 and LATEST <= left < math.ceil(count / self.workers) + EARLIEST

    def trial_deadline(self, spent: float = 0.0, *, early: bool = False) -> float | None:
        """Return the value of `time.monotonic()` at which a trial that starts now is stopped.

        Args:
            spent: Seconds that it has run before.
            early: Whether it should end after the first part of the time limit.
        """
        limits = [] if self.trial_seconds is None else [self.trial_seconds - spent]
        if early and self.time_limit is not None:
            limits.append(max(FIRST_SHARE * self.time_limit, FIRST_LEAST))
        times = [time.monotonic() + limit for limit in limits]
        return min([*times, *([] if self.deadline is None else [self.deadline])], default=None)

    def exhausted(
        self, trials: Sequence[TrialRecord], best: TrialRecord | None, *, running: bool
    ) -> str | None:
        """Return why no further trial starts, or None if one does.

        Args:
            trials: Finished trials.
            best: The best of them, or None.
            running: Whether other trials are still running.
        """
        if best is None:
            counts = {status: 0 for status in (FAILED, INFEASIBLE)}
            for trial in trials:
                counts[trial.status] += 1
            if counts[FAILED] >= MAX_FAILURES or counts[INFEASIBLE] >= MAX_INFEASIBLE:
                return f"none of {len(trials)} trials succeeded"
        elif self.max_stale_trials is not None:
            by_end = sorted(trials, key=lambda trial: (trial.began + trial.seconds, trial.number))
            stale = len(trials) - 1 - [trial.trial_id for trial in by_end].index(best.trial_id)
            if stale >= self.max_stale_trials:
                return f"{stale} trials in a row found nothing better"
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        trained = [trial for trial in trials if trial.epochs]
        if not trained:
            # The time of an epoch is unknown; one trial is always started.
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
    """Return the seconds of an epoch of each trial with epochs (and a score), by family."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        if trial.epochs and (trial.usable or not usable):
            family = family_of(trial.values)
            found.setdefault(family, []).append(trial.seconds / trial.epochs)
    return found
