"""Ensemble selection: add, again and again, the member that helps most.

Sources: Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of
models"; Caruana, Munson and Niculescu-Mizil (2006), "Getting the most out of ensemble selection".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.ensembling.problem import LOG_LOSS, Problem, cost, mean_log

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

ROUNDS = 50
BAGS = 20


def greedy_weights(
    problem: Problem,
    rng: np.random.Generator,
    *,
    rounds: int = ROUNDS,
    bags: int = BAGS,
    sorted_start: bool = True,
) -> Floats:
    """Select with replacement, in random halves of the members, and average over the halves.

    Selecting from fewer members than there are overfits less (section 2.4 of 2004). Each half
    has the best member in it, as a half without a good one would vote for bad ones.

    Args:
        problem: What to be good at.
        rng: Draws the halves.
        rounds: Members that a selection ends with; its best prefix is kept.
        bags: Halves; 1 selects once, from all members.
        sorted_start: Start from as many of the best members as average best (section 2.2).
            Otherwise with the best one.

    Returns:
        Weights (K,) on the simplex.
    """
    members = problem.members
    # A half of two or three members is no library.
    if bags == 1 or members < 4:
        return _select(problem, np.arange(members), rounds, sorted_start)
    best = problem.member_costs.argmin()
    total = np.zeros(members)
    for _ in range(bags):
        drawn = rng.choice(members, size=members // 2, replace=False)
        total += _select(problem, np.union1d(drawn, best), rounds, sorted_start)
    return total / bags


def _select(problem: Problem, library: Integers, rounds: int, sorted_start: bool) -> Floats:
    mixing = _TruthSum(problem, library) if problem.metric == LOG_LOSS else _Sum(problem, library)
    order = np.argsort(problem.member_costs[library], kind="stable")
    chosen = list(order[: _best_start(mixing, order, rounds) if sorted_start else 1])
    mixing.reset(chosen)
    costs = [mixing.cost()]
    start = len(chosen)
    while len(chosen) < rounds:
        added, cost_after = mixing.add_best()
        chosen.append(added)
        costs.append(cost_after)
    length = start + int(np.argmin(costs))
    counts = np.bincount(library[chosen[:length]], minlength=problem.members)
    return counts / length


def _best_start(mixing: _Sum | _TruthSum, order: Integers, rounds: int) -> int:
    costs = []
    for length in range(1, min(len(order), rounds) + 1):
        mixing.reset(order[:length])
        costs.append(mixing.cost())
    return int(np.argmin(costs)) + 1


class _Sum:
    """The sum of the members chosen so far, for any metric."""

    def __init__(self, problem: Problem, library: Integers) -> None:
        self._problem = problem
        self._members = problem.predictions[library]
        self.reset([])

    def reset(self, chosen: Any) -> None:
        self._total = self._members[chosen].sum(axis=0)
        self._count = len(chosen)

    def cost(self) -> float:
        return self._cost(self._total / self._count)

    def add_best(self) -> tuple[int, float]:
        """Add the member after which the mean costs least; return it and that cost."""
        self._count += 1
        costs = [self._cost((self._total + member) / self._count) for member in self._members]
        best = int(np.argmin(costs))
        self._total = self._total + self._members[best]
        return best, costs[best]

    def _cost(self, probabilities: Floats) -> float:
        return cost(self._problem.metric, self._problem.labels, probabilities)


class _TruthSum:
    """The same for log-loss, which needs the probabilities of the truth alone."""

    def __init__(self, problem: Problem, library: Integers) -> None:
        self._members = problem.of_truth[library]
        self._sums = np.empty_like(self._members)
        self.reset([])

    def reset(self, chosen: Any) -> None:
        self._total = self._members[chosen].sum(axis=0)
        self._count = len(chosen)

    def cost(self) -> float:
        return float(np.log(self._count) - mean_log(self._total[None])[0])

    def add_best(self) -> tuple[int, float]:
        np.add(self._members, self._total, out=self._sums)
        logs = mean_log(self._sums)
        best = int(logs.argmax())
        self._count += 1
        self._total = self._sums[best].copy()
        return best, float(np.log(self._count) - logs[best])
