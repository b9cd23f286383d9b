"""Gaussian-process regression, small and quick: for a few hundred points."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]

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


def matern(squared: Floats) -> tuple[Floats, Floats]:
    """Matérn 5/2 correlation and its derivative by the squared distance.

    k(r) = (1 + √5 r + 5/3 r²) exp(-√5 r), dk/d(r²) = -5/6 (1 + √5 r) exp(-√5 r); Rasmussen and
    Williams 2006, eq. 4.17.

    Args:
        squared: r², of any shape.
    """
    root = np.sqrt(5.0 * np.maximum(squared, 0.0))
    decay = np.exp(-root)
    return (1.0 + root + root * root / 3.0) * decay, (-5.0 / 6.0) * (1.0 + root) * decay


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
