"""Model selection: which solver and which calibration, chosen by cross-fitting."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.ensembling.calibration import CALIBRATIONS, NEUTRAL, Calibration
from kt_tuning.ensembling.combination import Combination
from kt_tuning.ensembling.problem import LOG_LOSS, ServingCosts, cost, oriented, shortfall
from kt_tuning.evaluation import METRICS

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Fit = Callable[[Floats, Integers], Mapping[str, Combination]]
"""(predictions (K, n, C), labels (n,)) -> a combination by solver."""

RESAMPLES = 200
SINGLE_TOLERANCE = 0.5
"""Standard errors by which a single member may be worse than the best combination and still win."""
STEADY = "stack"
"""The solver that wins a tie of several members' solvers: which of them is best is chance, and
would change with the rows. It alone corrects single classes, and has one minimum, with a ridge."""
# Costs that differ by less are equal, but for the order of a sum.
_ROUNDING = 1e-9


class CrossFit:
    """Combinations fitted without one fold or two, and the choice of a solver by their predictions.

    Fits without two folds serve to score a choice: to predict fold i by a choice made without it,
    the choice is made among predictions of fold j, for every other j, by fits that have seen
    neither i nor j. A fit without (i, j) serves twice, so 5 folds need 15 fits a solver, not 25.

    Args:
        predictions: (K, N, C) of the members.
        labels: (N,).
        fold: (N,) number of each row's fold, 0 first.
        fit: Fits every solver.
        calibrations: Names in `CALIBRATIONS` to choose from, the simplest first.
        metric: Name in `METRICS`.
        serving: Costs of the members; all alike and free if None.
        seed: Seed of the bootstrap.
    """

    def __init__(
        self,
        predictions: Floats,
        labels: Integers,
        fold: Integers,
        fit: Fit,
        *,
        calibrations: Sequence[str] = ("none",),
        metric: str = LOG_LOSS,
        serving: ServingCosts | None = None,
        seed: int = 0,
    ) -> None:
        self._predictions, self._labels, self._fold = predictions, labels, fold
        self._fit = fit
        self._calibrations = tuple(calibrations)
        self._metric = metric
        self._serving = ServingCosts.of(None, len(predictions), 0.0) if serving is None else serving
        self._seed = seed
        self._folds = range(int(fold.max()) + 1)
        self._fits = functools.cache(self._fit_without)
        self._predicted = functools.cache(self._predict_without)
        self._calibrated = functools.cache(self._calibrate)

    def out_of_fold(self, solver: str, without: int | None = None) -> Floats:
        """Return predictions (n, C) of the rows outside the fold `without`, or of all.

        Each fold is predicted by a fit on the others that are left.
        """
        predicted = np.empty((len(self._labels), self._predictions.shape[2]))
        for fold, aside in self._pairs(without):
            predicted[self._fold == fold] = self._predicted(aside, fold)[solver]
        return predicted[self._fold != without]

    def choose(self, solvers: Sequence[str], without: int | None = None) -> tuple[str, Calibration]:
        """Choose a solver and the calibration of its combination, without using a fold.

        A solver gets the calibration that has the least cross-fitted log-loss, the first of equals;
        it is fitted on out-of-fold predictions, as on rows that the weights were fitted on they
        would look too good. One solver is best for its serving cost. A single member within a half
        of one standard error of it wins; otherwise, of all within one error, `STEADY`, or else the
        cheapest. The error is that of the difference, by a bootstrap of the rows: two solvers
        mostly fail on the same rows, so that it is much smaller than the error of either. It is a
        half for a single member since on some hundred rows a whole one is more than different
        members gain together, and since serving costs have been counted already (see
        `ServingCosts`).

        That `STEADY` comes before a cheaper one is measured: which of two weighted means ties with
        it changes from fold to fold, and to take the cheaper each time cost up to 0.014 nats in
        real searches, two standard errors. Members that are not worth their cost are dropped once,
        where each combination is fitted, see `drop_costly_members`.

        Args:
            solvers: Names in `SOLVERS`, the simplest first.
            without: The fold, or None.

        Returns:
            The name in `SOLVERS`, and the calibration.
        """
        labels = self._labels[self._fold != without]
        solver = solvers[0]
        if len(solvers) > 1:
            fits = {
                name: [self._fits(aside)[name] for _, aside in self._pairs(without)]
                for name in solvers
            }
            solver = steadiest_within_one_error(
                self._metric,
                labels,
                {name: self._calibrated(name, without)[1] for name in solvers},
                {name: float(np.mean([len(fit.kept()) for fit in fits[name]])) for name in solvers},
                {
                    name: float(np.mean([self._serving.cost(fit) for fit in fits[name]]))
                    for name in solvers
                },
                self._serving,
                np.random.default_rng(self._seed),
            )
        if self._calibrations == ("none",):
            return solver, NEUTRAL
        calibrate = CALIBRATIONS[self._calibrated(solver, without)[0]]
        return solver, calibrate(self.out_of_fold(solver, without), labels)

    def predict(self, solvers: Sequence[str]) -> Floats:
        """Return predictions (N, C), each fold by the choice and the fits made without it."""
        predicted = np.empty((len(self._labels), self._predictions.shape[2]))
        for fold in self._folds:
            solver, calibration = self.choose(solvers, without=fold)
            members = self._predicted(frozenset([fold]), fold)[solver]
            predicted[self._fold == fold] = calibration.apply(members)
        return predicted

    def _pairs(self, without: int | None) -> list[tuple[int, frozenset[int]]]:
        aside = [] if without is None else [without]
        return [(fold, frozenset([fold, *aside])) for fold in self._folds if fold != without]

    def _fit_without(self, aside: frozenset[int]) -> Mapping[str, Combination]:
        fitting = ~np.isin(self._fold, list(aside))
        return self._fit(self._predictions[:, fitting], self._labels[fitting])

    def _predict_without(self, aside: frozenset[int], fold: int) -> dict[str, Floats]:
        members = self._predictions[:, self._fold == fold]
        return {solver: fit.predict(members) for solver, fit in self._fits(aside).items()}

    def _calibrate(self, solver: str, without: int | None) -> tuple[str, Floats]:
        """Return the best calibration's name, and predictions calibrated across folds."""
        rows = self._fold != without
        labels, fold = self._labels[rows], self._fold[rows]
        plain = self.out_of_fold(solver, without)
        found = {}
        for name in self._calibrations:
            found[name] = np.empty_like(plain)
            for part in np.unique(fold):
                scored = fold == part
                calibration = CALIBRATIONS[name](plain[~scored], labels[~scored])
                found[name][scored] = calibration.apply(plain[scored])
        best = min(found, key=lambda name: round(cost(LOG_LOSS, labels, found[name]), 9))
        return best, found[best]


def steadiest_within_one_error(
    metric: str,
    labels: Integers,
    predictions: Mapping[str, Floats],
    sizes: Mapping[str, float],
    costs: Mapping[str, float],
    serving: ServingCosts,
    rng: np.random.Generator,
) -> str:
    """Return the steadiest solver of those that tie with the best for its cost.

    That is the first with a single member, then `STEADY`, then the cheapest.

    Args:
        metric: Name in `METRICS`.
        labels: (N,).
        predictions: By solver, the simplest first: (N, C) out of fold.
        sizes: By solver: number of members of its fits, on average.
        costs: By solver: serving cost of its fits on average, see `ServingCosts.cost`.
        serving: The cost penalty.
        rng: Draws the rows of the bootstrap.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen and Stone (1984),
    "Classification and regression trees", section 3.4.3, for paired differences.
    """
    losses = {
        name: shortfall(metric, cost(metric, labels, made)) for name, made in predictions.items()
    }
    factors = {name: serving.factor(costs[name]) for name in predictions}
    best = min(losses, key=lambda name: round(losses[name] * factors[name], 9))
    errors = standard_errors(metric, labels, predictions, best, rng)
    single = {name for name, size in sizes.items() if round(size) <= 1}
    # A loss may be larger and tie with the best one, if it costs less to serve.
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
        return 1 if name == STEADY else 2, round(costs[name]), round(losses[name], 9)

    return min(tied, key=rank)


def standard_errors(
    metric: str,
    labels: Integers,
    predictions: Mapping[str, Floats],
    against: str,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return the standard error of each one's difference from one of them, by a paired bootstrap.

    Resamples on which the metric is undefined are left out.

    Args:
        metric: Name in `METRICS`.
        labels: (N,).
        predictions: Name -> predictions (N, C).
        against: One of the names.
        rng: Draws the rows, `RESAMPLES` times.
    """
    rows = len(labels)
    drawn = [np.bincount(rng.integers(rows, size=rows), minlength=rows) for _ in range(RESAMPLES)]
    counts = np.stack(drawn, axis=1).astype(np.float64)
    values = {
        name: oriented(metric, METRICS[metric].counted(labels, probabilities, counts))
        for name, probabilities in predictions.items()
    }
    errors = {}
    for name, column in values.items():
        defined = np.isfinite(column) & np.isfinite(values[against])
        differences = column[defined] - values[against][defined]
        errors[name] = float(differences.std()) if len(differences) else 0.0
    return errors
