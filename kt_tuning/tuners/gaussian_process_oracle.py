"""KerasTuner's Bayesian optimisation with our Gaussian process."""

from __future__ import annotations

from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

from kt_tuning.search.samplers.encoding import Floats
from kt_tuning.search.samplers.gaussian_process import GaussianProcess, condition, fit

CANDIDATES = 1000
"""Points drawn from the whole space for each trial."""
ROUNDS = 6
"""Rounds of local search; each perturbs the best points by half as much as the one before."""
KEPT = 10
"""Best points that a round starts from."""


class Regressor:
    """A Gaussian process with length scales and noise found by maximum a posteriori.

    Args:
        alpha: Variance of the noise relative to the signal's, at least.
    """

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._process: GaussianProcess | None = None

    def fit(self, x: Floats, y: Floats) -> None:
        """Fit to values (n,) at points (n, D) in the unit cube."""
        groups = np.arange(x.shape[1])
        parameters = fit(x, x - 0.5, y, groups)
        parameters[-1] = max(parameters[-1], np.log(max(self._alpha, 1e-12)))
        self._process = condition(x, x - 0.5, y, groups, parameters)

    def predict(self, x: Floats, return_std: bool = False) -> Any:
        """Mean, or mean and standard deviation, (m,) each, at points (m, D).

        Before the first fit they are those of a standard normal prior.
        """
        if self._process is None:
            mean, deviation = np.zeros(len(x)), np.ones(len(x))
        else:
            mean, deviation = self._process.predict(x, x - 0.5)
        return (mean, deviation) if return_std else mean


class GaussianProcessOracle(oracles.BayesianOptimizationOracle):
    """Minimises the lower confidence bound, mean - beta · deviation, of a Gaussian process.

    KerasTuner's oracle runs fifty optimisations from random points, with a prediction for each
    step and dimension. This one predicts a thousand points at once and searches near the best.
    It does not repeat a configuration.
    """

    def _make_gpr(self) -> Regressor:
        return Regressor(self.alpha)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Choose the values of a trial; random ones for the first `num_initial_points`.

        Args:
            trial_id: Of the trial.

        Returns:
            As for `keras_tuner.Oracle.populate_space`.
        """
        completed = [t for t in self.trials.values() if t.status == TrialStatus.COMPLETED]
        dimensions = len(self._nonfixed_space())
        initial = self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)
        if len(completed) < initial or not dimensions:
            return self._random()
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            x, y = (np.nan_to_num(part, posinf=0, neginf=0) for part in self._vectorize_trials())
            self.gpr.fit(x, y)
            points = self._search(x[np.argsort(y)[:KEPT]])
        for point in points:
            values = self._vector_to_values(point)
            if self._compute_values_hash(values) not in self._tried_so_far:
                return {"status": TrialStatus.RUNNING, "values": values}
        return self._random()

    def _random(self) -> dict[str, Any]:
        drawn: dict[str, Any] = self._random_populate_space()
        return drawn

    def _search(self, best: Floats) -> Floats:
        """Points (m, D) of low confidence bounds, the lowest first."""
        dimensions = best.shape[1]
        points = np.concatenate([best, self._random_state.uniform(size=(CANDIDATES, dimensions))])
        points = self._ranked(points)
        for number in range(1, ROUNDS + 1):
            near = np.repeat(points[:KEPT], CANDIDATES // KEPT // ROUNDS, axis=0)
            near = near + self._random_state.normal(scale=0.5**number / 2, size=near.shape)
            points = self._ranked(np.concatenate([points, np.clip(near, 0.0, 1.0)]))
        return points

    def _ranked(self, points: Floats) -> Floats:
        mean, deviation = self.gpr.predict(points, return_std=True)
        return points[np.argsort(mean - self.beta * deviation)]
