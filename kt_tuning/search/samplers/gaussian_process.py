"""Bayesian optimization with a Gaussian process in NumPy and SciPy, for a few hundred points."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import log_ndtr

from kt_tuning.search.samplers.base import FINISHED, RelativeSampler, seen_space
from kt_tuning.search.samplers.encoding import Encoding, Floats, matern
from kt_tuning.search.study.trial_states import is_infeasible

SPREAD = 1.5
"""Standard deviation of the prior on the logarithm of a length scale."""
NOISE = (-9.0, 1.5)
"""Mean and standard deviation of the prior on the logarithm of noise variance over signal's."""
EFFECTS = (0.0, 2.0)
"""Prior of c, the share of the effects of single parameters."""
BOUNDS = {"length": (-3.0, 5.0), "effects": (-10.0, 8.0), "noise": (-14.0, 0.0)}
ITERATIONS = 20
"""Iterations of L-BFGS; more change the suggestions little."""
JITTER = 1e-8
STARTUP = 10
"""Finished trials before the model is used."""
POINTS = 128
"""Trials that the model is conditioned on: half of them the best, half the newest."""
FITTED = 72
"""Trials of these that length scales are fitted to."""
CANDIDATES = 400
"""Points drawn from the whole space, and as many near the best."""
INCUMBENTS = 4
"""Best trials, and then best candidates, whose surroundings are searched."""
CLIMBS, PERTURBED = 8, 50
"""Rounds of local search, and perturbations of each of the best candidates in a round."""
OUTLIER = 3.0
"""Costs are clipped at this many interquartile ranges above the median."""
FAR = -20.0
"""Standard deviations below which the expected improvement's asymptote is exact enough."""


@dataclasses.dataclass(frozen=True)
class GaussianProcess:
    """A posterior over functions, given values at points.

    The covariance of two points is the signal's variance times k(r) + c a·a' + noise: a Matérn
    kernel over all parameters, and what each does by itself (`effects`), as a linear model.

    Attributes:
        points: (n, E), each column divided by its length scale.
        effects: (n, F), times √c.
        scales: (E,) length scale of each column.
        factor: Cholesky factor (n, n) of the correlation with noise, lower.
        weights: (n,) so that the mean is the correlation times this.
        variance: Of the signal.
        offset: Mean of the prior.
        parameters: Logarithms of the D length scales, of c and of the noise.
    """

    points: Floats
    effects: Floats
    scales: Floats
    factor: Floats
    weights: Floats
    variance: float
    offset: float
    parameters: Floats

    def predict(self, features: Floats, effects: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation, (m,) each, of the function.

        Args:
            features: (m, E).
            effects: (m, F).
        """
        share = np.exp(self.parameters[-2])
        correlation, _ = matern(cdist(features / self.scales, self.points, "sqeuclidean"))
        correlation += np.sqrt(share) * effects @ self.effects.T
        mean = self.offset + correlation @ self.weights
        solved = solve_triangular(self.factor, correlation.T, lower=True, check_finite=False)
        prior = 1.0 + share * np.einsum("mf,mf->m", effects, effects)
        unexplained = prior - np.einsum("nm,nm->m", solved, solved)
        return mean, np.sqrt(self.variance * np.maximum(unexplained, 1e-12))


def fit(features: Floats, effects: Floats, values: Floats, groups: NDArray[np.intp]) -> Floats:
    """Find length scales and noise: the maximum of the posterior, from the prior's means.

    One start, and always the same: a search that was interrupted finds what it would have found.

    Args:
        features: (n, E), about one wide.
        effects: (n, F).
        values: (n,).
        groups: (E,) parameter that a column belongs to, 0 to D - 1: its columns share a scale.

    Returns:
        (D + 2,) logarithms of the length scales, of c and of the noise's share.
    """
    count = int(groups.max()) + 1
    columns = [features[:, groups == group] for group in range(count)]
    distances = np.stack([cdist(each, each, "sqeuclidean") for each in columns])
    # In more dimensions points are further apart: Hvarfner et al. 2024, arXiv:2402.02229.
    centre = np.array([0.5 * np.log(count)] * count + [EFFECTS[0], NOISE[0]])
    spread = np.array([SPREAD] * count + [EFFECTS[1], NOISE[1]])
    linear = effects @ effects.T
    centred = values - values.mean()
    flat = distances.reshape(count, -1)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        """-log posterior with the signal's variance at its optimum, and its gradient."""
        weights = np.exp(-2.0 * parameters[:-2])
        share, noise = np.exp(parameters[-2:])
        correlation, slope = matern((weights @ flat).reshape(distances.shape[1:]))
        correlation += share * linear
        correlation[np.diag_indices_from(correlation)] += noise + JITTER
        factor = cho_factor(correlation, lower=True, check_finite=False)
        alpha = cho_solve(factor, centred, check_finite=False)
        n = len(centred)
        variance = max(float(centred @ alpha) / n, 1e-300)
        inverse = cho_solve(factor, np.eye(n), check_finite=False)
        pull = inverse - np.outer(alpha, alpha) / variance
        data = n * np.log(variance) / 2 + np.log(np.diag(factor[0])).sum()
        deviation = (parameters - centre) / spread
        gradient = deviation / spread
        gradient[:-2] -= weights * (flat @ (pull * slope).ravel())
        gradient[-2] += 0.5 * share * float((pull * linear).sum())
        gradient[-1] += 0.5 * noise * np.trace(pull)
        return float(data + 0.5 * deviation @ deviation), gradient

    bounds = [BOUNDS["length"]] * count + [BOUNDS["effects"], BOUNDS["noise"]]
    limit = {"maxiter": ITERATIONS}
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options=limit)
    return np.asarray(found.x)


def condition(
    features: Floats,
    effects: Floats,
    values: Floats,
    groups: NDArray[np.intp],
    parameters: Floats,
) -> GaussianProcess:
    """The posterior given values at points.

    Args:
        features: (n, E).
        effects: (n, F).
        values: (n,).
        groups: (E,) parameter that a column belongs to.
        parameters: From `fit`.
    """
    scales = np.exp(parameters[:-2])[groups]
    points = features / scales
    effects = effects * np.exp(0.5 * parameters[-2])
    correlation, _ = matern(cdist(points, points, "sqeuclidean"))
    correlation += effects @ effects.T
    correlation[np.diag_indices_from(correlation)] += np.exp(parameters[-1]) + JITTER
    factor, _ = cho_factor(correlation, lower=True, check_finite=False)
    factor = np.tril(factor)
    offset = float(values.mean())
    weights = cho_solve((factor, True), values - offset, check_finite=False)
    variance = max(float((values - offset) @ weights) / len(values), 1e-12)
    return GaussianProcess(points, effects, scales, factor, weights, variance, offset, parameters)


class GaussianProcessSampler(RelativeSampler):
    """Expected improvement under a Gaussian process.

    Matérn 5/2 with a length scale a parameter, found by maximising the posterior; log expected
    improvement (Ament et al. 2023, arXiv:2310.20708) of one batch of candidates, then of
    perturbations of the best of them. Running trials count as if they had come out as the model
    expects. With several objectives, each draw optimises one random augmented Chebyshev sum of
    them (ParEGO, Knowles 2006).

    Args:
        seed: Same seed, same draws.
    """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter seen so far, of all branches of the space."""
        finished = study.get_trials(deepcopy=False, states=FINISHED)
        return seen_space(finished) if len(finished) >= STARTUP else {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the point with the highest expected improvement."""
        if not search_space:
            return {}
        # Several threads are slower on small matrices, twenty times on a busy machine.
        with _blas().limit(limits=1, user_api="blas"):
            return self._sample(study, trial, search_space)

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        encoding = Encoding(search_space)
        trials = study.get_trials(deepcopy=False, states=FINISHED)
        costs = self._costs(study, trials)
        kept = _worth_keeping(costs)
        points = encoding.encode([trials[i].params for i in kept])
        costs = costs[kept]
        encoding.learn_activity(points)
        groups = encoding.groups
        fitted = _worth_keeping(costs, FITTED)
        features, effects = encoding.features(points), encoding.effects(points)
        parameters = fit(features[fitted], effects[fitted], costs[fitted], groups)
        process = condition(features, effects, costs, groups, parameters)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        pending = [t.params for t in running if t.number != trial.number and t.params]
        if pending:
            there = encoding.encode(pending)
            believed, _ = process.predict(encoding.features(there), encoding.effects(there))
            process = condition(
                np.concatenate([features, encoding.features(there)]),
                np.concatenate([effects, encoding.effects(there)]),
                np.concatenate([costs, believed]),
                groups,
                parameters,
            )
        best = points[np.argsort(costs, kind="stable")[:INCUMBENTS]]
        return encoding.decode(self._search(process, encoding, best, float(costs.min())))

    def _costs(self, study: Study, trials: list[FrozenTrial]) -> Floats:
        """Return one standardised cost a trial, (N,); lower is better."""
        signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        costs = np.full((len(trials), len(signs)), np.nan)
        for row, trial in enumerate(trials):
            if trial.values and not is_infeasible(trial):
                costs[row] = signs * np.array(trial.values)
        if np.isnan(costs).all():
            return np.zeros(len(trials))
        # Infeasible trials get the worst cost.
        costs = np.where(np.isnan(costs), np.nanmax(costs, axis=0), costs)
        if costs.shape[1] > 1:
            costs = _standardised(costs)
            weights = self._rng.dirichlet(np.ones(costs.shape[1]))
            shifted = weights * (costs - costs.min(0))
            costs = (shifted.max(1) + 0.05 * shifted.sum(1))[:, None]
        median = np.median(costs)
        quartiles = np.subtract(*np.percentile(costs, [75, 25]))
        return _standardised(np.minimum(costs, median + OUTLIER * quartiles))[:, 0]

    def _search(
        self, process: GaussianProcess, encoding: Encoding, best: Floats, incumbent: float
    ) -> Floats:
        """Return the point (D,) with the highest log expected improvement."""
        rng = self._rng
        best = encoding.complete(best, rng)
        near = encoding.perturb(best[rng.integers(len(best), size=CANDIDATES)], rng)
        candidates = np.concatenate([encoding.random(CANDIDATES, rng), near])
        scores = self._score(process, encoding, candidates, incumbent)
        for _ in range(CLIMBS):
            tops = candidates[np.argsort(-scores, kind="stable")[:INCUMBENTS]]
            near = encoding.perturb(np.repeat(tops, PERTURBED, axis=0), rng)
            candidates = np.concatenate([tops, near])
            scores = self._score(process, encoding, candidates, incumbent)
        return np.asarray(candidates[scores.argmax()])

    def _score(
        self, process: GaussianProcess, encoding: Encoding, points: Floats, incumbent: float
    ) -> Floats:
        points = encoding.deactivate(points)
        mean, deviation = process.predict(encoding.features(points), encoding.effects(points))
        return log_expected_improvement(mean, deviation, incumbent)


def log_expected_improvement(mean: Floats, deviation: Floats, incumbent: float) -> Floats:
    """Return log E[max(incumbent - f, 0)] for f ~ N(mean, deviation²), elementwise.

    With z = (incumbent - mean) / deviation it is log(deviation) + log(φ(z) + z Φ(z)); far below
    zero, where both terms cancel, φ(z) + z Φ(z) is about φ(z) / z².
    """
    z = (incumbent - mean) / deviation
    log_density = -0.5 * z * z - 0.5 * np.log(2.0 * np.pi)
    above = np.maximum(z, 1e-300)
    better = np.logaddexp(log_density, np.log(above) + log_ndtr(above))
    # Below zero, z Φ(z) / φ(z) tends to -1, and the two terms nearly cancel.
    below = np.clip(z, FAR, 0.0)
    ratio = below * np.exp(log_ndtr(below) + 0.5 * below * below + 0.5 * np.log(2.0 * np.pi))
    worse = log_density + np.log1p(np.maximum(ratio, -1.0 + 1e-12))
    hopeless = log_density - 2.0 * np.log(np.maximum(-z, 1.0))
    return np.log(deviation) + np.select([z > 0, z > FAR], [better, worse], hopeless)


@functools.cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()


def _standardised(values: Floats) -> Floats:
    spread = values.std(0)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)


def _worth_keeping(costs: Floats, count: int = POINTS) -> NDArray[np.intp]:
    """Return indices of at most `count` trials: half the best, half the newest."""
    if len(costs) <= count:
        return np.arange(len(costs))
    best = np.argsort(costs, kind="stable")[: count // 2]
    others = np.setdiff1d(np.arange(len(costs)), best)
    return np.sort(np.concatenate([best, others[-(count - len(best)) :]]))
