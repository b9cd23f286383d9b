"""Weights for any metric, by trying: random draws, Nelder-Mead, CMA-ES.

Where the metric is log-loss, `convex` finds for certain what these look for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import require_extra
from kt_tuning.ensembling.problem import Problem

Floats = NDArray[np.floating[Any]]

DRAWS = 500
EVALUATIONS = 2000
"""Of a search with state, at most; fewer for few members."""
EVALUATIONS_PER_MEMBER = 200


def random_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """The best of 500 Dirichlet draws and the mean; half of the draws favour a few members."""
    members = problem.members
    even = rng.dirichlet(np.ones(members), size=DRAWS // 2)
    sparse = rng.dirichlet(np.full(members, 1.0 / members), size=DRAWS // 2)
    drawn = np.concatenate([np.full((1, members), 1.0 / members), even, sparse])
    return drawn[problem.costs(drawn).argmin()]


def nelder_mead_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """The simplex search of Nelder and Mead (1965), from the mean, over softmax(x).

    With the dimension-dependent parameters of Gao and Han (2012). It draws nothing.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import minimize

    members = problem.members
    origin = np.zeros(members)
    found = minimize(
        lambda logits: problem.cost(_on_simplex(logits)),
        origin,
        method="Nelder-Mead",
        options={
            "adaptive": True,
            "maxfev": _evaluations(members),
            # The first simplex: each member in turn has e times the weight of the others.
            "initial_simplex": np.vstack([origin, np.eye(members)]),
        },
    )
    return _on_simplex(found.x)


def cmaes_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """CMA-ES (Hansen and Ostermeier 2001) over softmax(x), from the mean.

    Raises:
        MissingExtraError: without the package cmaes.
    """
    require_extra("The solver 'cmaes'", "cmaes")
    from cmaes import CMA  # type: ignore[import-not-found, unused-ignore]

    members = problem.members
    if members == 1:
        return np.ones(1)
    best = np.full(members, 1.0 / members)
    least = problem.cost(best)
    optimizer = CMA(mean=np.zeros(members), sigma=1.0, seed=int(rng.integers(2**31)))
    for _ in range(_evaluations(members) // optimizer.population_size):
        asked = [optimizer.ask() for _ in range(optimizer.population_size)]
        weights = np.stack([_on_simplex(logits) for logits in asked])
        costs = problem.costs(weights)
        if costs.min() < least:
            best, least = weights[costs.argmin()], float(costs.min())
        optimizer.tell(list(zip(asked, costs.tolist(), strict=True)))
        if optimizer.should_stop():
            break
    return best


def _evaluations(members: int) -> int:
    return min(EVALUATIONS, EVALUATIONS_PER_MEMBER * members)


def _on_simplex(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max())
    return raised / raised.sum()
