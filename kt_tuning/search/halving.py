"""Asynchronous successive halving (ASHA): trials pause, and the best of them go on.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Self

from optuna.pruners import SuccessiveHalvingPruner

REDUCTION = 3
"""One trial in so many goes on at each rung; Li et al. 2018 find 3 or 4 best."""
RUNGS = 2
"""Of a training: after a ninth and a third of its epochs. Earlier ones would judge warm-ups."""


class AshaPruner(SuccessiveHalvingPruner):
    """Marks a search that halves successively.

    Where trials can pause, in our tuner, those who run them use `Halving`. Elsewhere, in
    KerasTuner's tuners or between the trainings of a trial, this stops what is not among the best
    third of the trials so far.
    """

    def __init__(self) -> None:
        super().__init__(min_resource=1, reduction_factor=REDUCTION)


@dataclasses.dataclass(frozen=True)
class Halving:
    """Which trials pause when, and which of them goes on.

    Attributes:
        rungs: Epochs after which trials pause, ascending.
        maximise: Whether a higher value is better.
    """

    rungs: tuple[int, ...]
    maximise: bool

    @classmethod
    def of(cls, epochs: int, *, maximise: bool) -> Self:
        """The rungs of trainings of so many epochs."""
        shares = (round(epochs / REDUCTION**power) for power in range(RUNGS, 0, -1))
        return cls(tuple(sorted({rung for rung in shares if 0 < rung < epochs})), maximise)

    def next_rung(self, done: int) -> int | None:
        """Where a trial that has done so many epochs pauses next; None if nowhere."""
        return next((rung for rung in self.rungs if rung > done), None)

    def last_rung(self, done: int) -> int:
        """The rung that a trial which has done so many epochs stands on; 0 before the first."""
        return max((rung for rung in self.rungs if rung <= done), default=0)

    def best_paused(
        self,
        curves: Mapping[str, Sequence[float]],
        paused: Mapping[str, int],
        *,
        closing: bool,
    ) -> str | None:
        """The trial that should go on, from the highest rung that has one.

        Args:
            curves: By trial: the objective after each epoch, those before it began included.
            paused: By trial: the rung that it stands on.
            closing: Whether no new trials are begun, so that a rung does not wait for more: at
                least its best goes on.

        Returns:
            Its id, or None if none has deserved it yet.
        """
        for rung in reversed(self.rungs):
            scores = {
                trial: max(curve[:rung]) if self.maximise else min(curve[:rung])
                for trial, curve in curves.items()
                if len(curve) >= rung
            }
            share = len(scores) / REDUCTION
            count = math.ceil(share) if closing else math.floor(share)
            ranked = sorted(scores, key=scores.__getitem__, reverse=self.maximise)
            for trial in ranked[:count]:
                if paused.get(trial) == rung:
                    return trial
        return None
