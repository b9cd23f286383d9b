"""Which solver, and which calibration: the choice, by a rule that can be judged as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.ensembling.calibration import CALIBRATIONS, NEUTRAL, Calibration
from kt_tuning.ensembling.combination import Combination
from kt_tuning.ensembling.cost_penalty import ServingCosts
from kt_tuning.ensembling.problem import LOG_LOSS, cost, oriented, shortfall
from kt_tuning.evaluation import METRICS

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

RESAMPLES = 200
SINGLE_TOLERANCE = 0.5
"""Standard errors by which a single member may be worse than the best combination and still win."""
STEADY = "stack"
"""Of several members' solvers that tie this one wins: which is best of those is chance, and would
change with the rows. It alone corrects single classes, and has one minimum, with a ridge."""
# Costs that differ by less are equal, but for the order of a sum.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Choice:
    """A solver, and the calibration of what it combines.

    Attributes:
        solver: Name in `SOLVERS`.
        calibration: Fitted on out-of-fold predictions of the solver: on rows that its weights
            have seen they would look too good.
    """

    solver: str
    calibration: Calibration


class Chooser:
    """Chooses by cross-fitting.

    A solver is calibrated in the way that has the least cross-fitted log-loss, the first of
    equals. Of the solvers, one is best for what it costs to serve. A single member within a half
    of one standard error of it wins, then, among all within one error, `STEADY`, then the one that
    costs least. The error is that of the difference, by a bootstrap of the rows: two solvers mostly
    fail on the same rows, so that it is much smaller than the error of either. It is a half for a
    single member since on some hundred rows a whole one is more than different members gain
    together, and since what they cost has been counted already (see `ServingCosts`).

    That `STEADY` comes before a cheaper one is measured: which of two weighted means ties with it
    changes from fold to fold, and to take the cheaper each time cost up to 0.014 nats in real
    searches, two standard errors. What members are worth is asked once, where each combination is
    fitted, see `drop_costly_members`.

    Args:
        crossing: The fits.
        calibrations: Names in `CALIBRATIONS` to choose from, the simplest first.
        metric: Name in `METRICS`.
        seed: Of the bootstrap.
        serving: What members cost.
    """

    def __init__(
        self,
        crossing: CrossFit,
        calibrations: Sequence[str],
        metric: str,
        seed: int,
        serving: ServingCosts,
    ) -> None:
        self._crossing = crossing
        self._calibrations = tuple(calibrations)
        self._metric = metric
        self._seed = seed
        self._serving = serving
        self._calibrated: dict[tuple[str, int | None], tuple[str, Floats]] = {}

    def choose(self, solvers: Sequence[str], without: int | None = None) -> Choice:
        """Choose, without a look at a fold.

        Args:
            solvers: Names in `SOLVERS`, the simplest first.
            without: The fold, or None.
        """
        labels = self._crossing.labels[self._crossing.rows(without)]
        solver = solvers[0]
        if len(solvers) > 1:
            mean = self._crossing.mean
            solver = steadiest_within_one_error(
                self._metric,
                labels,
                {
                    name: Candidate(
                        self._calibrate(name, without)[1],
                        mean(lambda fit: fit.size, name, without),
                        mean(self._serving.cost, name, without),
                    )
                    for name in solvers
                },
                self._serving,
                np.random.default_rng(self._seed),
            )
        if self._calibrations == ("none",):
            return Choice(solver, NEUTRAL)
        fit = CALIBRATIONS[self._calibrate(solver, without)[0]]
        return Choice(solver, fit(self._crossing.out_of_fold(solver, without), labels))

    def predict(self, solvers: Sequence[str]) -> Floats:
        """Return predictions (N, C), each fold by what is chosen and fitted without it."""
        crossing = self._crossing
        predicted = np.empty_like(crossing.out_of_fold(solvers[0]))
        for fold in crossing.folds:
            choice = self.choose(solvers, without=fold)
            members = crossing.predict(choice.solver, fold)
            predicted[crossing.fold == fold] = choice.calibration.apply(members)
        return predicted

    def _calibrate(self, solver: str, without: int | None) -> tuple[str, Floats]:
        """The best calibration's name, and out-of-fold predictions calibrated across folds."""
        if (solver, without) not in self._calibrated:
            rows = self._crossing.rows(without)
            labels, fold = self._crossing.labels[rows], self._crossing.fold[rows]
            plain = self._crossing.out_of_fold(solver, without)
            found = {
                name: _cross_calibrated(name, plain, labels, fold) for name in self._calibrations
            }
            best = min(found, key=lambda name: round(cost(LOG_LOSS, labels, found[name]), 9))
            self._calibrated[solver, without] = best, found[best]
        return self._calibrated[solver, without]


def _cross_calibrated(name: str, plain: Floats, labels: Integers, fold: Integers) -> Floats:
    calibrated = np.empty_like(plain)
    for part in np.unique(fold):
        judged = fold == part
        calibration = CALIBRATIONS[name](plain[~judged], labels[~judged])
        calibrated[judged] = calibration.apply(plain[judged])
    return calibrated


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """What is known of a solver.

    Attributes:
        predictions: Out of fold, (N, C).
        size: How many members its fits have on average.
        cost: What they cost to serve on average, see `ServingCosts.cost`.
    """

    predictions: Floats
    size: float
    cost: float


def steadiest_within_one_error(
    metric: str,
    labels: Integers,
    candidates: Mapping[str, Candidate],
    serving: ServingCosts,
    rng: np.random.Generator,
) -> str:
    """Return the steadiest solver of those that tie with the best for its cost.

    That is the first with a single member, then `STEADY`, then the cheapest.

    Args:
        metric: Name in `METRICS`.
        labels: (N,).
        candidates: By solver, the simplest first.
        serving: What a gain is worth.
        rng: Draws the rows of the bootstrap.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen and Stone (1984),
    "Classification and regression trees", section 3.4.3, for paired differences.
    """
    predictions = {name: candidate.predictions for name, candidate in candidates.items()}
    losses = {
        name: shortfall(metric, cost(metric, labels, made)) for name, made in predictions.items()
    }
    factors = {name: serving.factor(found.cost) for name, found in candidates.items()}
    best = min(losses, key=lambda name: round(losses[name] * factors[name], 9))
    errors = standard_errors(metric, labels, predictions, best, rng)
    single = {name for name, found in candidates.items() if round(found.size) <= 1}
    # What a loss may be to be worth as much as the best one: more, if it costs less to serve.
    tied = [
        name
        for name in losses
        if losses[name] * factors[name]
        <= losses[best] * factors[best]
        + factors[name] * errors[name] * (SINGLE_TOLERANCE if name in single else 1.0)
        + _ROUNDING
    ]

    def rank(name: str) -> tuple[int, int, float]:
        # One member is one member, however it was found: of these the first.
        if name in single:
            return 0, 0, 0.0
        return 1 if name == STEADY else 2, round(candidates[name].cost), round(losses[name], 9)

    return min(tied, key=rank)


def standard_errors(
    metric: str,
    labels: Integers,
    predictions: Mapping[str, Floats],
    against: str,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return the standard error of each one's difference from one of them, by a paired bootstrap.

    Args:
        metric: Name in `METRICS`.
        labels: (N,).
        predictions: Name -> predictions (N, C).
        against: Which of the names.
        rng: Draws the rows, `RESAMPLES` times.
    """
    rows = len(labels)
    drawn = [np.bincount(rng.integers(rows, size=rows), minlength=rows) for _ in range(RESAMPLES)]
    counts = np.stack(drawn, axis=1).astype(np.float64)
    counted = METRICS[metric].counted
    values = {
        name: oriented(metric, counted(labels, probabilities, counts))
        for name, probabilities in predictions.items()
    }
    return {name: _spread(column, values[against]) for name, column in values.items()}


def _spread(values: Floats, others: Floats) -> float:
    """Standard deviation of the difference, over resamples on which the metric is defined."""
    defined = np.isfinite(values) & np.isfinite(others)
    return float((values[defined] - others[defined]).std()) if defined.any() else 0.0


Fit = Callable[[Floats, Integers], Mapping[str, Combination]]
"""(predictions (K, n, C), labels (n,)) -> a combination by solver."""


class CrossFit:
    """Combinations fitted without one fold or two, and what they predict on these.

    Those without two serve to judge a choice: to predict fold i by what was chosen without it,
    the choice is made among predictions of fold j, for every other j, by fits that have seen
    neither i nor j. A fit without (i, j) serves twice, so 5 folds need 15 fits a solver, not 25.

    Args:
        predictions: (K, N, C) of the members.
        labels: (N,).
        fold: (N,) number of each row's fold, 0 first.
        fit: Fits every solver.
    """

    def __init__(self, predictions: Floats, labels: Integers, fold: Integers, fit: Fit) -> None:
        self.labels = labels
        self.fold = fold
        self.folds = range(int(fold.max()) + 1)
        self._predictions = predictions
        self._fit = fit
        self._fits: dict[frozenset[int], Mapping[str, Combination]] = {}
        self._predicted: dict[tuple[frozenset[int], int], dict[str, Floats]] = {}

    def predict(self, solver: str, fold: int) -> Floats:
        """Return predictions (n, C) of a fold, by a fit on all others."""
        return self._without(frozenset([fold]), fold)[solver]

    def rows(self, without: int | None) -> NDArray[np.bool_]:
        """Return which rows are left (N,) if a fold is put aside, or none is."""
        return np.ones(len(self.fold), dtype=bool) if without is None else self.fold != without

    def out_of_fold(self, solver: str, without: int | None = None) -> Floats:
        """Return predictions (n, C) of `rows(without)`: each fold by a fit on the others left."""
        parts = {fold: self._without(aside, fold) for fold, aside in self._pairs(without)}
        predicted = np.empty((len(self.labels), self._predictions.shape[2]))
        for fold, by_solver in parts.items():
            predicted[self.fold == fold] = by_solver[solver]
        return predicted[self.rows(without)]

    def mean(
        self, of: Callable[[Combination], float], solver: str, without: int | None = None
    ) -> float:
        """Return the mean of a number of each fit behind `out_of_fold`."""
        pairs = self._pairs(without)
        for fold, aside in pairs:
            self._without(aside, fold)
        return float(np.mean([of(self._fits[aside][solver]) for _, aside in pairs]))

    def _pairs(self, without: int | None) -> list[tuple[int, frozenset[int]]]:
        aside = [] if without is None else [without]
        return [(fold, frozenset([fold, *aside])) for fold in self.folds if fold != without]

    def _without(self, aside: frozenset[int], fold: int) -> dict[str, Floats]:
        if aside not in self._fits:
            fitting = ~np.isin(self.fold, list(aside))
            fits = self._fit(self._predictions[:, fitting], self.labels[fitting])
            for judged in aside:
                members = self._predictions[:, self.fold == judged]
                self._predicted[aside, judged] = {
                    solver: combination.predict(members) for solver, combination in fits.items()
                }
            self._fits[aside] = fits
        return self._predicted[aside, fold]
