"""Solvers: how much each member of an ensemble counts.

`convex` finds the weights of least log-loss with a certificate; `random`, `nelder-mead` and `cmaes`
search for the weights that are best by any metric.

Sources: Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of
models", and Caruana, Munson and Niculescu-Mizil (2006), "Getting the most out of ensemble
selection", for `greedy`; Wolpert (1992), "Stacked generalization", and Ting and Witten (1999),
"Issues in stacked generalization", for `stack`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import require_extra
from kt_tuning.ensembling.calibration import Calibration, cross_entropy, logarithm
from kt_tuning.ensembling.combination import GEOMETRIC, Combination
from kt_tuning.ensembling.problem import Problem

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Solver = Callable[[Problem, np.random.Generator], Combination]
"""(problem, rng) -> combination."""

DRAWS = 500
"""Weights that `random` tries."""
EVALUATIONS, EVALUATIONS_PER_MEMBER = 2000, 200
"""Weights that `nelder-mead` and `cmaes` try, at most: in all, and for each member."""
ROUNDS, BAGS = 50, 20
STACK_ITERATIONS = 200
CONVEX_STARTS, CONVEX_GAP = 5, 1e-7
"""`convex` starts so often, at most, until its weights are within this gap of the best."""


def random_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """Return the best of 500 Dirichlet draws and the mean; half the draws favour a few members."""
    members = problem.members
    even = rng.dirichlet(np.ones(members), size=DRAWS // 2)
    sparse = rng.dirichlet(np.full(members, 1.0 / members), size=DRAWS // 2)
    drawn = np.concatenate([np.full((1, members), 1.0 / members), even, sparse])
    return drawn[problem.costs(drawn).argmin()]


def nelder_mead_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """Return the minimum that the simplex search of Nelder and Mead (1965) finds over softmax(x).

    It starts from the mean, and takes the parameters of Gao and Han (2012). It draws nothing.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import minimize
    from scipy.special import softmax

    members = problem.members
    origin = np.zeros(members)
    found = minimize(
        lambda logits: problem.cost(softmax(logits)),
        origin,
        method="Nelder-Mead",
        options={
            "adaptive": True,
            "maxfev": _evaluations(members),
            # In the first simplex each member in turn has e times the weight of the others.
            "initial_simplex": np.vstack([origin, np.eye(members)]),
        },
    )
    return softmax(found.x)


def cmaes_weights(problem: Problem, rng: np.random.Generator) -> Floats:
    """Return the best weights of CMA-ES (Hansen and Ostermeier 2001) over softmax(x), or the mean.

    Raises:
        MissingExtraError: without the package cmaes.
    """
    require_extra("The solver 'cmaes'", "cmaes")
    from cmaes import CMA  # type: ignore[import-not-found, unused-ignore]
    from scipy.special import softmax

    members = problem.members
    if members == 1:
        return np.ones(1)
    tried = [np.full((1, members), 1.0 / members)]
    costs = [problem.costs(tried[0])]
    optimizer = CMA(mean=np.zeros(members), sigma=1.0, seed=int(rng.integers(2**31)))
    for _ in range(_evaluations(members) // optimizer.population_size):
        asked = [optimizer.ask() for _ in range(optimizer.population_size)]
        tried.append(np.stack([softmax(logits) for logits in asked]))
        costs.append(problem.costs(tried[-1]))
        optimizer.tell(list(zip(asked, costs[-1].tolist(), strict=True)))
        if optimizer.should_stop():
            break
    return np.concatenate(tried)[np.concatenate(costs).argmin()]


def _evaluations(members: int) -> int:
    return min(EVALUATIONS, EVALUATIONS_PER_MEMBER * members)


def greedy_weights(
    problem: Problem,
    rng: np.random.Generator,
    *,
    rounds: int = ROUNDS,
    bags: int = BAGS,
) -> Floats:
    """Select members with replacement, in random halves of them, and average over the halves.

    A selection starts from as many of the best members as average best (2004, section 2.2); each
    round adds the member that improves the mean most. Selecting from fewer members than there
    are overfits less (2004, section 2.4). Each half has the best member in it, as a half without a
    good one would vote for bad ones.

    Args:
        problem: Members, labels and metric.
        rng: Draws the halves.
        rounds: Members that a selection ends with; its best prefix is kept.
        bags: Halves; 1 selects once, from all members.

    Returns:
        Weights (K,) on the simplex.
    """
    members = problem.members
    # Half of two or three members is too few to select from.
    if bags == 1 or members < 4:
        return _select(problem, np.arange(members), rounds)
    best = problem.member_costs.argmin()
    total = np.zeros(members)
    for _ in range(bags):
        drawn = rng.choice(members, size=members // 2, replace=False)
        total += _select(problem, np.union1d(drawn, best), rounds)
    return total / bags


def _select(problem: Problem, library: Integers, rounds: int) -> Floats:
    """Return weights (K,) of one selection among the members of `library`."""
    mixed = problem.mixed[library]
    order = np.argsort(problem.member_costs[library], kind="stable")
    starts: list[float] = []
    total = np.zeros(mixed.shape[1:])
    for place in order[:rounds]:
        total = total + mixed[place]
        starts += problem.costs_of_sums(total[None], len(starts) + 1).tolist()
    chosen = order[: int(np.argmin(starts)) + 1].tolist()
    start, costs = len(chosen), [min(starts)]
    total = mixed[chosen].sum(axis=0)
    while len(chosen) < rounds:
        added = problem.costs_of_sums(mixed + total, len(chosen) + 1)
        chosen.append(int(added.argmin()))
        costs.append(float(added.min()))
        total = total + mixed[chosen[-1]]
    length = start + int(np.argmin(costs))
    return np.bincount(library[chosen[:length]], minlength=problem.members) / length


def convex_weights(of_truth: Floats) -> tuple[Floats, float]:
    """Minimise mean_n -log(sum_k w_k P_kn) over the simplex.

    The log-loss of a mixture depends on the predictions only through P, each member's probability
    of the true class, and is convex in the weights. Dropping the constraint sum(w) = 1 and adding
    sum(w) to the loss leaves the same minimum, which L-BFGS-B finds over w >= 0.

    With g_k = mean_n P_kn / (w P)_n, the log-loss of w is above the minimum by no more than
    max_k g_k - 1, whatever the minimum is (duality): that is the gap. As long as it is too large,
    w g, the step of expectation maximisation, is the next start.

    Source: Lindsay (1983), "The geometry of mixture likelihoods".

    Args:
        of_truth: P, (K, N) probabilities of the true class, all above 0 and at most 1.

    Returns:
        Weights (K,) on the simplex, and their gap in nats, usually below 1e-7.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import minimize

    members, rows = of_truth.shape

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixture = np.maximum(weights @ of_truth, np.finfo(float).tiny)
        return weights.sum() - np.log(mixture).mean(), 1.0 - of_truth @ (1.0 / mixture) / rows

    start = np.full(members, 1.0 / members)
    for _ in range(CONVEX_STARTS):
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, None)] * members,
            options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 2000, "maxcor": 30},
        )
        weights = found.x / found.x.sum()
        gains = 1.0 - loss(weights)[1]
        gap = max(0.0, float(gains.max()) - 1.0)
        if gap <= CONVEX_GAP:
            break
        start = weights * gains
    return weights, gap


def stacked(problem: Problem, rng: np.random.Generator) -> Combination:
    """Fit a multinomial logistic regression to the members' log-probabilities.

    The coefficients a >= 0 (K,), one per member, are shared by all classes; the intercepts b (C,)
    are one per class. So it is a weighted geometric mean of the members with a temperature and a
    shift for each class, which an ensemble can serve. The usual stack, a coefficient for each pair
    of a member's class and a class, has K C^2 unknowns for as few rows.

    Minimises mean log-loss of softmax(sum_k a_k log p_k + b) + (|a - 1/K|^2 + |b|^2) / (2 N): a
    ridge of the strength that scikit-learn's LogisticRegression has, towards the plain geometric
    mean. The loss is convex. It draws nothing.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import minimize

    members, rows, classes = problem.predictions.shape
    logs = logarithm(problem.predictions).reshape(members, rows * classes)
    start = np.concatenate([np.full(members, 1.0 / members), np.zeros(classes)])

    def loss(unknowns: Floats) -> tuple[float, Floats]:
        coefficients, intercepts = unknowns[:members], unknowns[members:]
        away = unknowns - start
        logits = (coefficients @ logs).reshape(rows, classes) + intercepts
        value, residuals = cross_entropy(logits, problem.labels)
        slopes = np.concatenate([logs @ residuals.ravel(), residuals.sum(axis=0)])
        return value + away @ away / (2 * rows), (slopes + away) / rows

    bounds = [(0.0, None)] * members + [(None, None)] * classes
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STACK_ITERATIONS},
    )
    coefficients, intercepts = found.x[:members], found.x[members:]
    # If no member tells anything, all coefficients are 0 and the intercepts say how common the
    # classes are; weights have to be something.
    total = float(coefficients.sum())
    weights = coefficients / total if total > 0 else start[:members]
    return Combination(
        weights=tuple(weights.tolist()),
        pool=GEOMETRIC,
        calibrations=(Calibration(scales=(total,), shifts=tuple(intercepts.tolist())),),
    )


def _averaged(weights_of: Callable[[Problem, np.random.Generator], Any]) -> Solver:
    """Return a solver that takes the weighted mean of the members."""
    return lambda problem, rng: Combination(tuple(weights_of(problem, rng)))


SOLVERS: dict[str, Solver] = {
    "single": _averaged(lambda problem, _: np.eye(problem.members)[problem.member_costs.argmin()]),
    "mean": _averaged(lambda problem, _: np.full(problem.members, 1.0 / problem.members)),
    "random": _averaged(random_weights),
    "greedy": _averaged(greedy_weights),
    "convex": _averaged(lambda problem, _: convex_weights(problem.of_truth)[0]),
    "nelder-mead": _averaged(nelder_mead_weights),
    "cmaes": _averaged(cmaes_weights),
    "stack": stacked,
}
"""From the simplest on. "mean" fits nothing; "convex" and "stack" minimise log-loss whatever the
metric."""
