"""The weights of least log-loss, to a certified gap.

The log-loss of a mixture depends on the predictions only through P, each member's probability of
the truth, and is convex in the weights: it is the mixture-proportion problem of maximum
likelihood. Sources: Lindsay (1983), "The geometry of mixture likelihoods"; Kim, Carbonetto,
Stephens and Anitescu (2020), "A fast algorithm for maximum likelihood estimation of mixture
proportions using sequential quadratic programming" (mixsqp).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_MAX_STEPS = 200
_SAMPLE, _ROUGHLY = 10, 1e-3
"""The start comes from one row in so many, solved to this gap: most members are out by then."""


def convex_weights(of_truth: Floats, *, tolerance: float = 1e-9) -> tuple[Floats, float]:
    """Minimise mean_n -log(sum_k w_k P_kn) over the simplex.

    Dropping the constraint sum(w) = 1 and adding sum(w) to the loss leaves the same minimum.
    Each step minimises the quadratic model of that loss over w >= 0, which is non-negative least
    squares in K unknowns, and backtracks. Members outside the support come in when the gradient
    asks for them. Convergence is quadratic: four to ten steps are usual, fewer from the solution
    for a tenth of the rows, which is where many rows start.

    With g_k = mean_n P_kn / (w P)_n, the log-loss of w is above the minimum by no more than
    max_k g_k - 1, whatever the minimum is (duality): that is the gap.

    Args:
        of_truth: P, (K, N) probabilities of the true class, all above 0 and at most 1.
        tolerance: Stop when the gap, in nats, is no more than this.

    Returns:
        Weights (K,) on the simplex, and their gap in nats. If 200 steps were not enough, the
        gap says how good the weights are.
    """
    members, rows = of_truth.shape
    weights = np.full(members, 1.0 / members)
    if rows >= _SAMPLE * _SAMPLE * members:
        sample = np.ascontiguousarray(of_truth[:, ::_SAMPLE])
        weights, _ = convex_weights(sample, tolerance=max(tolerance, _ROUGHLY))
    mixture = weights @ of_truth
    for _ in range(_MAX_STEPS):
        inverse = 1.0 / mixture
        gradient = of_truth @ inverse / rows
        if gradient.max() - 1.0 <= tolerance:
            break
        try:
            target = _newton_target(of_truth, inverse, weights, gradient)
        except (np.linalg.LinAlgError, RuntimeError):
            # The model was too close to singular. The step of expectation maximisation needs
            # no model and always gains, only less.
            target = weights * gradient
        weights = _line_search(of_truth, mixture, weights, target, gradient)
        mixture = weights @ of_truth
    gradient = of_truth @ (1.0 / mixture) / rows
    return weights, max(0.0, float(gradient.max()) - 1.0)


def _newton_target(of_truth: Floats, inverse: Floats, weights: Floats, gradient: Floats) -> Floats:
    """Minimise the quadratic model over v >= 0, for the members in use or worth using.

    `inverse` is 1 / (w P). With A = P / (w P) and M = A A' / N: the minimiser of v'Mv / 2 - b'v,
    b = M w + g - 1. Through the Cholesky factor L of M it is that of |L'v - L^-1 b|^2.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import nnls

    active = np.flatnonzero((weights > 0) | (gradient > 1.0))
    ratios = of_truth[active] * inverse
    model = ratios @ ratios.T / ratios.shape[1]
    # Twins among the members make M singular. The minimum stays in its place, as b has M too.
    model[np.diag_indices_from(model)] *= 1.0 + 1e-10
    factor = np.linalg.cholesky(model)
    linear = model @ weights[active] + gradient[active] - 1.0
    target = np.zeros_like(weights)
    target[active] = nnls(factor.T, np.linalg.solve(factor, linear), maxiter=30 * len(active))[0]
    return target


def _line_search(
    of_truth: Floats, mixture: Floats, weights: Floats, target: Floats, gradient: Floats
) -> Floats:
    """Go from `weights` towards `target` until the loss falls enough (Armijo), then rescale."""
    change = (target - weights) @ of_truth
    mass = target.sum() - 1.0
    slope = float((gradient - 1.0) @ (target - weights))
    before = np.log(mixture).mean()
    length = 1.0
    while length > 1e-9:
        # Written so that weights which the target has at 0 become 0, not a speck.
        moved = (1.0 - length) * weights + length * target
        mixed = mixture + length * change
        # The allowance is rounding: near the minimum there is less than that to gain.
        enough = before + length * (mass + 1e-4 * slope) - 1e-12
        if mixed.min() > 0 and np.log(mixed).mean() >= enough:
            return moved / moved.sum()
        length /= 2.0
    return weights
