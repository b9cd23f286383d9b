"""Where each trial of a search stands on the rungs of a `Halving`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import keras_tuner

from kt_tuning.records import PAUSED
from kt_tuning.search.budget import Budget
from kt_tuning.search.families import family_of
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.rungs import AshaPruner, Elsewhere, Going, Halving, Point
from kt_tuning.trials import TrialSpec


@dataclasses.dataclass(frozen=True)
class Standing:
    """A trial on a rung.

    Attributes:
        rung: Number of the rung, from 1; 0 before the first one.
        value: The best of the objective until then.
        pause: Whether others deserve more to go on from there.
    """

    rung: int
    value: float
    pause: bool


class Ladder:
    """Remembers every trial's curve, and which trials are paused.

    Args:
        rule: When trials pause, and which of them goes on.
        curves: Of the trials of earlier runs of this search.
        elsewhere: Tells of the trials of other processes that share the search.
    """

    def __init__(
        self,
        rule: Halving,
        curves: Mapping[str, Iterable[Point]],
        elsewhere: Callable[[], Elsewhere] = dict,
    ) -> None:
        self._rule = rule
        self._elsewhere = elsewhere
        self._curves = {trial: list(curve) for trial, curve in curves.items()}
        self._rungs: dict[str, int] = {}
        self._paused: dict[str, TrialSpec] = {}
        self._ended: set[str] = set()

    @property
    def longest(self) -> float:
        """Seconds that a whole training may take; infinity without a time limit."""
        return self._rule.rungs[-1].seconds

    @property
    def paused(self) -> list[TrialSpec]:
        """The trials that may go on."""
        return list(self._paused.values())

    def adopt(self, trial: str, curve: Iterable[Point]) -> None:
        """Take up a trial where another process has left it."""
        self._curves[trial] = list(curve)

    def climb(self, trial: str, epochs: int, seconds: float, value: float) -> Standing | None:
        """Take a trial up by one epoch.

        Args:
            trial: Its id.
            epochs: Done by now.
            seconds: Wall-clock of the last one.
            value: Of the objective after it.

        Returns:
            Where it stands; None if it has reached no further rung.
        """
        curve = self._curves.setdefault(trial, [])
        # An epoch is trained once more if a kill came between it and its checkpoint.
        del curve[epochs - 1 :]
        curve.append(Point(epochs, seconds + (curve[-1].seconds if curve else 0.0), value))
        rung = self._rule.rung(curve)
        if rung <= self._rungs.get(trial, 0):
            return None
        self._rungs[trial] = rung
        deserving = self._rule.deserving(
            rung, self._curves, self._ended, elsewhere=self._elsewhere()
        )
        return Standing(rung, self._rule.score(rung, curve), pause=trial not in deserving)

    def pause(self, spec: TrialSpec) -> Standing | None:
        """Keep a trial that has paused, now or before the search was interrupted.

        Returns:
            Where it stands; None if nothing is known of it.
        """
        self._paused[spec.trial_id] = spec
        curve = self._curves.get(spec.trial_id)
        if not curve:
            return None
        # A kill may have left it further than where it had paused.
        rung = self._rungs[spec.trial_id] = self._rule.rung(curve)
        return Standing(rung, self._rule.score(rung, curve), pause=True)

    def go_on(self, going: Going) -> TrialSpec | None:
        """Take the paused trial that should go on, from the highest rung that has one.

        Args:
            going: How many of a rung may.

        Returns:
            It, or None if none has deserved it yet.
        """
        if not self._paused:
            return None
        elsewhere = self._elsewhere()
        for rung in range(len(self._rule.rungs), 0, -1):
            deserving = self._rule.deserving(rung, self._curves, self._ended, going, elsewhere)
            for trial in deserving:
                if trial in self._paused and self._rungs[trial] == rung:
                    return self._paused.pop(trial)
        return None

    def end(self, trial: str, *, usable: bool) -> None:
        """Hear that a trial has ended.

        Args:
            trial: Its id.
            usable: Whether it has a score that others are compared with; else it is forgotten.
        """
        self._paused.pop(trial, None)
        if usable:
            self._ended.add(trial)
        else:
            self._curves.pop(trial, None)


def ladder_of(
    oracle: keras_tuner.Oracle, run: RunDirectory, budget: Budget, *, several: bool
) -> Ladder | None:
    """The ladder of a search, with the trials of its earlier runs.

    Args:
        oracle: Of the search.
        run: Where trials are kept.
        budget: How far each is trained.
        several: Whether a trial trains more than once.

    Returns:
        None if trials do not pause: with another pruner, several objectives or several trainings
        a trial.
    """
    if several or not isinstance(oracle, OptunaOracle) or len(oracle.objectives) > 1:
        return None
    if not isinstance(oracle.pruner, AshaPruner):
        return None
    maximise = oracle.objectives[0].direction == "max"
    rule = Halving.of(budget.epochs, maximise=maximise, seconds=budget.seconds)
    # The oracle tells of trials that others run; of those it takes over, their folders.
    ladder = Ladder(rule, {} if oracle.shared else run.curves(), oracle.elsewhere)
    for record in run.trials():
        if record.status != PAUSED:
            compared = record.usable and not budget.ends_at_once(family_of(record.values))
            ladder.end(record.trial_id, usable=compared)
    return ladder
