"""Pruners, and asynchronous successive halving (ASHA), which pauses and promotes trials."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from optuna import pruners
from optuna.pruners import SuccessiveHalvingPruner

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.core.records import PAUSED
from kt_tuning.search.budget import Budget, family_of
from kt_tuning.trials import TrialSpec

if TYPE_CHECKING:
    from kt_tuning.search.oracle import OptunaOracle
    from kt_tuning.search.run_directory import RunDirectory

REDUCTION = 3
"""One of this many trials is promoted at each rung; Li et al. 2018 find 3 or 4 best."""
RUNGS = 2
"""Rungs by epochs: after 1/9 and 1/3 of a training. An earlier rung would compare warm-ups."""
LONGEST = 7
"""A time limit allows this many trainings of the longest kind. 1/9 of each of 27 trials, 2/9 more
of the best 9 and 2/3 more of the best 3 add up to it."""
FAIR_START = 0.1
"""Share of the epochs without pruning by the median, while learning rates warm up."""
PATIENCE = 3
"""Epochs without improvement that a patient pruner allows."""


class AshaPruner(SuccessiveHalvingPruner):
    """Selects successive halving.

    Where trials can pause (`kt_tuning.Tuner` with one training a trial), `RungTable` decides.
    Elsewhere (KerasTuner's tuners, folds, several executions), this pruner stops each trial that is
    not among the best third so far.
    """

    def __init__(self) -> None:
        super().__init__(min_resource=1, reduction_factor=REDUCTION)


class Point(NamedTuple):
    """A trial after an epoch: epochs done, their wall-clock in seconds, and the objective."""

    epochs: int
    seconds: float
    value: float


class Rung(NamedTuple):
    """A point of a training where trials are compared, after some epochs or after some seconds."""

    epochs: float
    seconds: float = math.inf

    def reached(self, point: Point) -> bool:
        """Whether a trial at `point` has reached the rung."""
        return point.epochs >= self.epochs or point.seconds >= self.seconds


class RungScores(NamedTuple):
    """The scores of a trial that another process runs.

    Attributes:
        scores: Best value of the objective by the number of each rung that was reached.
        final: Best value of all if the trial has ended, else None.
    """

    scores: Mapping[int, float]
    final: float | None = None

    def score(self, rung: int) -> float | None:
        """Return the score at a rung; None if the trial has not reached it."""
        # A trial that reaches two rungs in one epoch reports the upper one only.
        reached = min((number for number in self.scores if number >= rung), default=None)
        return self.final if reached is None else self.scores[reached]


class Promotion(enum.Enum):
    """Which trials on a rung are promotable."""

    BEST_THIRD = "best third"
    """Rounded down: a rung waits until three trials have reached it."""
    BEST = "best"
    """The best third, rounded up: no more trials will come."""
    ANY = "any"


def make_rungs(epochs: int, seconds: float | None = None) -> tuple[Rung, ...]:
    """Return the rungs of a search in ascending order.

    Args:
        epochs: Epochs of a full training.
        seconds: Time limit of the search times the number of workers, or None.
    """
    longest = math.inf if seconds is None else seconds / LONGEST
    shares = [REDUCTION**-power for power in range(RUNGS, 0, -1)]
    rungs = [Rung(max(1, round(epochs * share)), longest * share) for share in shares]
    # The longest training that the limit allows may end before its last epoch.
    last = [] if seconds is None else [Rung(math.inf, longest)]
    return (*rungs, *last)


class RungTable:
    """Asynchronous successive halving: decides which trials pause, and which are promoted.

    It holds the curve of every trial of a search, and the paused trials.

    Args:
        oracle: Tells the scores of other processes that share the search, and is told the rank of
            each trial on a rung.
        rungs: In ascending order, numbered from 1.
        maximise: Whether a higher objective is better.
        curves: Trials of earlier runs of the search.

    Attributes:
        oracle: As above.
        longest: Longest training in seconds; infinity without a time limit.
    """

    def __init__(
        self,
        oracle: OptunaOracle,
        rungs: Sequence[Rung],
        *,
        maximise: bool,
        curves: Mapping[str, Iterable[Point]],
    ) -> None:
        self.oracle = oracle
        self.longest = rungs[-1].seconds
        self._rungs = rungs
        self._maximise = maximise
        self._curves = {trial: list(curve) for trial, curve in curves.items()}
        self._reached: dict[str, int] = {}
        self._paused: dict[str, TrialSpec] = {}
        self._ended: set[str] = set()

    @classmethod
    def of_search(
        cls, oracle: OptunaOracle, budget: Budget, run: RunDirectory, *, maximise: bool
    ) -> Self:
        """Return the rungs of a search, with the trials of its earlier runs."""
        # The study knows the trials of other processes; one that is taken over brings its folder.
        curves = {} if oracle.shared else run.curves()
        rungs = cls(
            oracle, make_rungs(budget.epochs, budget.seconds), maximise=maximise, curves=curves
        )
        for record in run.trials():
            if record.status != PAUSED:
                compared = record.usable and not budget.ends_at_once(family_of(record.values))
                rungs.end(record.trial_id, usable=compared)
        return rungs

    @property
    def paused(self) -> list[TrialSpec]:
        """The trials that wait for a promotion."""
        return list(self._paused.values())

    def adopt(self, trial: str, curve: Iterable[Point]) -> None:
        """Add a trial that is taken over from another process."""
        self._curves[trial] = list(curve)

    def add_epoch(self, trial: str, epochs: int, seconds: float, value: float) -> bool:
        """Add an epoch to the curve of a trial.

        Args:
            trial: Its id.
            epochs: Epochs done, this one included.
            seconds: Wall-clock of this epoch.
            value: Objective after it.

        Returns:
            Whether the trial pauses: it has reached a rung with this epoch, and is not promotable.
        """
        curve = self._curves.setdefault(trial, [])
        # An epoch is repeated if the process was killed before its checkpoint.
        del curve[epochs - 1 :]
        curve.append(Point(epochs, seconds + (curve[-1].seconds if curve else 0.0), value))
        if self._rung(curve) <= self._reached.get(trial, 0):
            return False
        return trial not in self.promotable(self._rank(trial))

    def pause(self, spec: TrialSpec) -> None:
        """Keep a trial that has paused."""
        self._paused[spec.trial_id] = spec
        if self._curves.get(spec.trial_id):
            # A kill may have left more epochs than there were at the pause.
            self._rank(spec.trial_id)

    def promote(self, promotion: Promotion) -> TrialSpec | None:
        """Remove and return the best paused trial of the highest rung that has a promotable one."""
        if not self._paused:
            return None
        for rung in range(len(self._rungs), 0, -1):
            for trial in self.promotable(rung, promotion):
                if trial in self._paused and self._reached[trial] == rung:
                    return self._paused.pop(trial)
        return None

    def promotable(self, rung: int, promotion: Promotion = Promotion.BEST_THIRD) -> list[str]:
        """The trials that may train beyond a rung, best first.

        Trials of other processes are compared as well, and those that ended before the rung.

        Args:
            rung: Its number, from 1.
            promotion: How many of the trials on the rung.
        """
        others = {name: found.score(rung) for name, found in self.oracle.other_scores().items()}
        scores = {trial: score for trial, score in others.items() if score is not None}
        scores |= {
            trial: self._score(rung, curve)
            for trial, curve in self._curves.items()
            if curve and (trial in self._ended or self._rungs[rung - 1].reached(curve[-1]))
        }
        counts = {
            Promotion.BEST_THIRD: len(scores) // REDUCTION,
            Promotion.BEST: math.ceil(len(scores) / REDUCTION),
            Promotion.ANY: len(scores),
        }
        return sorted(scores, key=scores.__getitem__, reverse=self._maximise)[: counts[promotion]]

    def end(self, trial: str, *, usable: bool) -> None:
        """Record that a trial has ended; if it is not `usable`, no other is compared with it."""
        self._paused.pop(trial, None)
        if usable:
            self._ended.add(trial)
        else:
            self._curves.pop(trial, None)

    def _rank(self, trial: str) -> int:
        """Tell the oracle the score of a trial on the rung that it has reached; return the rung."""
        curve = self._curves[trial]
        rung = self._reached[trial] = self._rung(curve)
        self.oracle.rank(trial, rung, self._score(rung, curve))
        return rung

    def _rung(self, curve: Sequence[Point]) -> int:
        """The number of the last rung that a trial has reached; 0 before the first."""
        numbers = range(len(self._rungs), 0, -1)
        return next((n for n in numbers if self._rungs[n - 1].reached(curve[-1])), 0)

    def _score(self, rung: int, curve: Sequence[Point]) -> float:
        """The best value until a trial reached a rung, or until its last epoch."""
        above = self._rungs[rung - 1] if rung else None
        reached = (at for at, point in enumerate(curve, 1) if above and above.reached(point))
        values = [point.value for point in curve[: next(reached, None)]]
        return max(values) if self._maximise else min(values)


PRUNERS: dict[str, Callable[[int | None], pruners.BasePruner]] = {
    "none": lambda epochs: pruners.NopPruner(),
    "median": lambda epochs: pruners.MedianPruner(n_warmup_steps=_warmup(epochs)),
    "percentile": lambda epochs: pruners.PercentilePruner(25.0, n_warmup_steps=_warmup(epochs)),
    "patient": lambda epochs: pruners.PatientPruner(
        pruners.MedianPruner(n_warmup_steps=_warmup(epochs)), PATIENCE
    ),
    "asha": lambda epochs: AshaPruner(),
    "hyperband": lambda epochs: pruners.HyperbandPruner(
        min_resource=1,
        max_resource="auto" if epochs is None else epochs,
        reduction_factor=REDUCTION,
    ),
    "wilcoxon": lambda epochs: pruners.WilcoxonPruner(p_threshold=0.1),
}
"""Name -> (epochs of a full training, or None if unknown) -> pruner."""


def pruner_name(pruner: str) -> str:
    """Return the name in `PRUNERS` that a spelling stands for.

    Raises:
        OptionError: if there is none.
    """
    return find_name(pruner, PRUNERS, "pruner", hint="or pass one of optuna.pruners")


def make_pruner(
    pruner: str | pruners.BasePruner | None, epochs: int | None = None, *, objectives: int = 1
) -> pruners.BasePruner:
    """Return the pruner of a name; None is "none"; a pruner of Optuna is returned as it is.

    Args:
        pruner: A name in `PRUNERS`: "median" stops what is worse than half of the trials at the
            same epoch, "percentile" what is not in the best quarter, "patient" what the median
            would stop and has not improved for `PATIENCE` epochs, "hyperband" all but a third at
            epochs 1, 3, 9 and so on, "wilcoxon" what is significantly worse than the best trial
            on the same folds. "asha" pauses trials after a ninth and a third of their epochs and
            promotes the best third (see `RungTable`).
        epochs: Epochs of a full training; Hyperband infers them from finished trials if None.
        objectives: Number of objectives.

    Raises:
        OptionError: if there is no such pruner, or there are several objectives.
    """
    if isinstance(pruner, pruners.BasePruner):
        made = pruner
    else:
        with quiet_optuna():
            made = PRUNERS[pruner_name("none" if pruner is None else pruner)](epochs)
    if objectives > 1 and not isinstance(made, pruners.NopPruner):
        raise OptionError(
            f"A pruner needs one objective. Received {objectives} objectives and the pruner "
            f'{pruner!r}, perhaps that of the strategy: pass pruner="none".'
        )
    return made


def _warmup(epochs: int | None) -> int:
    return 0 if epochs is None else int(FAIR_START * epochs)
