"""Asynchronous successive halving (ASHA): trials pause, and the best of them go on.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. Where a search
has a time limit, what a trial has spent is counted in seconds as well as in epochs: a configuration
that learns as much in less time goes on first, and how long a training may become follows from the
time that there is.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Self

from optuna.pruners import SuccessiveHalvingPruner

REDUCTION = 3
"""One trial in so many goes on at each rung; Li et al. 2018 find 3 or 4 best."""
RUNGS = 2
"""Of a training: after a ninth and a third of it. Earlier ones would judge warm-ups."""
LONGEST = 7
"""A time limit is meant for so many trainings of the longest kind. With a ninth of each of 27
trials, two more ninths of the best 9 and two thirds of the best 3, it is spent."""


class AshaPruner(SuccessiveHalvingPruner):
    """Marks a search that halves successively.

    Where trials can pause, in our tuner, those who run them use `Halving`. Elsewhere, in
    KerasTuner's tuners or between the trainings of a trial, this stops what is not among the best
    third of the trials so far.
    """

    def __init__(self) -> None:
        super().__init__(min_resource=1, reduction_factor=REDUCTION)


@dataclasses.dataclass(frozen=True)
class Rung:
    """How far a trial gets before it is compared.

    Attributes:
        epochs: It is there after so many,
        seconds: or after the epoch in which it has spent so many.
    """

    epochs: float
    seconds: float = math.inf

    def reached(self, point: Point) -> bool:
        """Whether a trial that is there has got so far."""
        return point.epochs >= self.epochs or point.seconds >= self.seconds


@dataclasses.dataclass(frozen=True)
class Point:
    """A trial after an epoch.

    Attributes:
        epochs: Done by then.
        seconds: Wall-clock of these epochs.
        value: Of the objective.
    """

    epochs: int
    seconds: float
    value: float


@dataclasses.dataclass(frozen=True)
class Climbed:
    """How far a trial of another process has got, as far as that process tells.

    Attributes:
        scores: By rung that it has reached: the best value of the objective until then.
        final: The best value of all, if it has ended.
    """

    scores: Mapping[int, float]
    final: float | None = None

    def score(self, rung: int) -> float | None:
        """Its score at a rung; None if it is not there yet."""
        # It may have reached two rungs at once, and been compared at the upper one only.
        reached = min((number for number in self.scores if number >= rung), default=None)
        return self.final if reached is None else self.scores[reached]


class Going(enum.Enum):
    """Which of the trials on a rung may go on."""

    BEST_THIRD = "best third"
    """Rounded down: a rung waits until three are there."""
    BEST = "best"
    """The best third, and at least one: no more will come."""
    ANY = "any"


Curves = Mapping[str, Sequence[Point]]
"""By trial: a point an epoch."""
Elsewhere = Mapping[str, Climbed]
"""By trial: those of other processes that share the search."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """Which trials pause when, and which of them goes on.

    Attributes:
        rungs: Where trials pause, ascending; they are counted from 1.
        maximise: Whether a higher value is better.
    """

    rungs: tuple[Rung, ...]
    maximise: bool

    @classmethod
    def of(cls, epochs: int, *, maximise: bool, seconds: float | None = None) -> Self:
        """The rungs of a search.

        Args:
            epochs: Of a full training.
            maximise: Whether a higher value is better.
            seconds: Time limit of the search, all workers together, or None.
        """
        longest = math.inf if seconds is None else seconds / LONGEST
        shares = [REDUCTION**-power for power in range(RUNGS, 0, -1)]
        rungs = [Rung(max(1, round(epochs * share)), longest * share) for share in shares]
        # The longest training may still be far from its last epoch.
        last = [] if seconds is None else [Rung(math.inf, longest)]
        return cls((*rungs, *last), maximise)

    def rung(self, curve: Sequence[Point]) -> int:
        """The number of the last rung that a trial has reached; 0 before the first."""
        numbers = range(len(self.rungs), 0, -1)
        return next((n for n in numbers if curve and self.rungs[n - 1].reached(curve[-1])), 0)

    def score(self, rung: int, curve: Sequence[Point]) -> float:
        """The best value until a trial reached a rung; until its last epoch, if it did not."""
        above = self.rungs[rung - 1] if rung else None
        reached = (at for at, point in enumerate(curve, 1) if above and above.reached(point))
        values = [point.value for point in curve[: next(reached, None)]]
        return max(values) if self.maximise else min(values)

    def deserving(
        self,
        rung: int,
        curves: Curves,
        ended: Collection[str],
        going: Going = Going.BEST_THIRD,
        elsewhere: Elsewhere = MappingProxyType({}),
    ) -> list[str]:
        """The trials that may go on beyond a rung, best first.

        Args:
            rung: Its number, from 1.
            curves: Of all trials that did not fail.
            ended: Those that have ended for good; a trial that did so before the rung takes part.
            going: How many of those there.
            elsewhere: Further trials that are compared with them.
        """
        others = {trial: climbed.score(rung) for trial, climbed in elsewhere.items()}
        scores = {trial: score for trial, score in others.items() if score is not None}
        scores |= {
            trial: self.score(rung, curve)
            for trial, curve in curves.items()
            if curve and (trial in ended or self.rungs[rung - 1].reached(curve[-1]))
        }
        counts = {
            Going.BEST_THIRD: len(scores) // REDUCTION,
            Going.BEST: math.ceil(len(scores) / REDUCTION),
            Going.ANY: len(scores),
        }
        return sorted(scores, key=scores.__getitem__, reverse=self.maximise)[: counts[going]]
