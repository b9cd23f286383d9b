"""How much each member of an ensemble counts: the solvers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kt_tuning.ensembling.combination import Combination
from kt_tuning.ensembling.convex import convex_weights
from kt_tuning.ensembling.direct_search import (
    cmaes_weights,
    nelder_mead_weights,
    random_weights,
)
from kt_tuning.ensembling.greedy import greedy_weights
from kt_tuning.ensembling.problem import Problem
from kt_tuning.ensembling.stack import stacked

Solver = Callable[[Problem, np.random.Generator], Combination]
"""(problem, rng) -> combination. `mean`, `convex` and `stack` do not ask for the metric: the
first fits nothing, the others minimise log-loss."""


def _single(problem: Problem, rng: np.random.Generator) -> Combination:
    """All weight on the best member."""
    return Combination.average(np.eye(problem.members)[problem.member_costs.argmin()])


def _mean(problem: Problem, rng: np.random.Generator) -> Combination:
    """The same weight for every member."""
    return Combination.average(np.full(problem.members, 1.0 / problem.members))


def _random(problem: Problem, rng: np.random.Generator) -> Combination:
    return Combination.average(random_weights(problem, rng))


def _greedy(problem: Problem, rng: np.random.Generator) -> Combination:
    return Combination.average(greedy_weights(problem, rng))


def _convex(problem: Problem, rng: np.random.Generator) -> Combination:
    """The least log-loss there is, within 1e-9 nats."""
    return Combination.average(convex_weights(problem.of_truth)[0])


def _nelder_mead(problem: Problem, rng: np.random.Generator) -> Combination:
    return Combination.average(nelder_mead_weights(problem, rng))


def _cmaes(problem: Problem, rng: np.random.Generator) -> Combination:
    return Combination.average(cmaes_weights(problem, rng))


SOLVERS: dict[str, Solver] = {
    "single": _single,
    "mean": _mean,
    "random": _random,
    "greedy": _greedy,
    "convex": _convex,
    "nelder-mead": _nelder_mead,
    "cmaes": _cmaes,
    "stack": stacked,
}
"""From the simplest on."""
