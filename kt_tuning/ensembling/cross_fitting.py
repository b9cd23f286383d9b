"""Predictions of rows that had no part in the fit, by combinations fitted on the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.ensembling.combination import Combination

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
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
