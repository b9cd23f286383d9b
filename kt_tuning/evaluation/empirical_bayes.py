"""What the best of several noisy scores is worth, from how all of them are spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

STEPS = 30
"""Of the EM algorithm. Further ones would follow the noise of the scores."""
_POINTS = 200
# Candidates further from the best than this, in standard deviations, say nothing about it.
_FARTHEST = 20.0
# Errors closer than this, in standard deviations, count as equal: memory is bounded so.
_WIDTH = 1.0 / 32.0


def optimism_of_best(errors: Floats, luck: Floats, others: Floats | None = None) -> float:
    """Return by how much the least of several measured errors is expected to be too low.

    The candidates' true errors are taken for draws from one distribution, which is estimated from
    the errors measured, by EM from a uniform start; the result is the mean of the winner's true
    error given its measured one. A measured error is a sum of events of equal size, so many as a
    Poisson variable says: where it is small, so is its noise. The size is that which explains the
    variance of luck among the better half of the candidates; what they have in common decides
    nothing and is left out.

    As the winner's own error is weighed by what the others show, nothing is left of the bias of
    having been chosen if the distribution is right. It is estimated, however: where all candidates
    are alike, a fifth to a third of the bias stays.

    Sources: Efron (2011), "Tweedie's formula and selection bias"; Laird (1978), "Nonparametric
    maximum likelihood estimation of a mixing distribution", for the EM algorithm.

    Args:
        errors: (K,) measured, lower is better, none below 0.
        luck: (K, R) by how much they differ on R resamples of the rows.
        others: (M,) measured errors of further candidates with noise of the same size, such as
            other epochs of the same trainings; None if there are none. One that is below the least
            of `errors` counts as equal to it.

    Returns:
        The expected true error of the candidate with the least error, minus that; at least 0.
    """
    best = float(errors.min())
    event = _event_size(errors, luck)
    if event == 0.0:
        return 0.0
    everyone = errors if others is None else np.append(errors, np.maximum(others, best))
    # On the scale of roots the noise of all errors is the same: half the root of an event.
    noise = math.sqrt(event) / 2.0
    distances = np.rint((np.sqrt(everyone) - math.sqrt(best)) / (noise * _WIDTH))
    distances, counts = np.unique(distances[distances <= _FARTHEST / _WIDTH], return_counts=True)
    near = (math.sqrt(best) + distances * noise * _WIDTH) ** 2
    grid = np.linspace(math.sqrt(best), math.sqrt(near.max()), _POINTS) ** 2
    grid = np.maximum(grid, np.finfo(float).tiny)
    logs = (near[:, None] * np.log(grid) - grid) / event
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = np.full(_POINTS, 1.0 / _POINTS)
    for _ in range(STEPS):
        weights = np.average(_posterior(likelihood, weights), axis=0, weights=counts)
    expected = float(_posterior(likelihood[:1], weights)[0] @ grid)
    return max(0.0, expected - best)


def _event_size(errors: Floats, luck: Floats) -> float:
    """Return the variance of luck over the error, of the better half; 0 if there is none."""
    luck = luck[:, ~np.isnan(luck).any(axis=0)]
    better = errors <= np.median(errors)
    if better.sum() < 2:
        better[:] = True
    count = int(better.sum())
    mean = float(errors[better].mean())
    if count < 2 or luck.shape[1] < 2 or mean == 0.0:
        return 0.0
    apart = luck[better] - luck[better].mean(axis=0)
    return float(apart.var(axis=1).mean()) * count / (count - 1) / mean


def _posterior(likelihood: Floats, weights: Floats) -> Floats:
    joint = likelihood * weights
    return joint / joint.sum(axis=1, keepdims=True)
