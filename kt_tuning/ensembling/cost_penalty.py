"""Serving costs: whether a member's gain is worth its cost.

The cost penalty is the share of its loss that a combination must save for each doubling of its
cost. So two combinations are compared by

    loss · (1 - cost_penalty) ^ -log2(cost),

in which neither the unit of the loss nor that of the cost matters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling.combination import ARITHMETIC, Combination
from kt_tuning.ensembling.problem import Problem, cost, shortfall

Floats = NDArray[np.floating[Any]]

COST_PENALTY = 0.01
"""Twice the cost for one percent of the loss: two equal members are worth it if they err a little
differently, a member twenty times as large as the others must take away 4%."""


@dataclasses.dataclass(frozen=True, eq=False)
class ServingCosts:
    """Costs of K members, and the cost penalty.

    Attributes:
        costs: (K,) above 0, in any unit; divided by the least of them.
        cost_penalty: In [0, 1); with 0 costs only decide between equally good combinations.

    Raises:
        OptionError: if a cost or the cost penalty is out of range.
    """

    costs: Floats
    cost_penalty: float = COST_PENALTY

    def __post_init__(self) -> None:
        # Written so that nan fails it.
        if not 0 <= self.cost_penalty < 1:
            raise OptionError(
                "`cost_penalty` is the share of the loss that a doubling of the cost must save, "
                f"from 0 to less than 1. Received: cost_penalty={self.cost_penalty!r}"
            )
        costs = np.asarray(self.costs, dtype=np.float64)
        if costs.ndim != 1 or not costs.size or not np.all((costs > 0) & np.isfinite(costs)):
            raise OptionError(
                f"Every member's cost should be a number above 0. Received: {costs.tolist()}"
            )
        object.__setattr__(self, "costs", costs / costs.min())

    @classmethod
    def of(cls, costs: ArrayLike | None, members: int, cost_penalty: float) -> Self:
        """Return the costs of the members; if they are not known, they are equal and free."""
        found = cls(np.ones(members) if costs is None else np.asarray(costs), cost_penalty)
        if len(found.costs) != members:
            raise OptionError(
                f"Expected one cost for each of the {members} members. Received: "
                f"{len(found.costs)}."
            )
        return found if costs is not None else dataclasses.replace(found, cost_penalty=0.0)

    def cost(self, combination: Combination) -> float:
        """Return the total cost of the members that count; that of the cheapest of all is 1."""
        return float(self.costs[combination.kept()].sum())

    def factor(self, cost: float) -> float:
        """Return the factor of a loss at a cost, to compare it with losses at other costs."""
        return float((1 - self.cost_penalty) ** -np.log2(cost))


def drop_costly_members(
    fit: Callable[[Problem], Combination], problem: Problem, serving: ServingCosts
) -> Combination:
    """Fit a combination of the members whose gain is worth their cost.

    Members are dropped one after the other, each time the one without which the rule in this
    module's docstring judges best, as long as that is no worse; then the others are fitted again,
    until all stay.

    Args:
        fit: Finds weights.
        problem: K members.
        serving: Their costs.

    Returns:
        A combination of all K; the weights of dropped members are 0.
    """
    kept = np.arange(problem.members)
    while True:
        part = dataclasses.replace(problem, predictions=problem.predictions[kept])
        found = fit(part)
        left = _worthwhile(found, part, dataclasses.replace(serving, costs=serving.costs[kept]))
        if len(left) == found.size:
            return found.among(kept.tolist(), problem.members)
        kept = kept[left]


def _worthwhile(combination: Combination, problem: Problem, serving: ServingCosts) -> list[int]:
    """Return the places of the members that stay."""
    left, weights = combination.kept(), np.array(combination.weights)

    def penalised(members: list[int]) -> float:
        # A geometric mean keeps its confidence.
        only = np.zeros(len(weights))
        only[members] = weights[members] / weights[members].sum()
        if combination.pool == ARITHMETIC and not combination.calibrations:
            loss = problem.cost(only)
        else:
            fewer = dataclasses.replace(combination, weights=tuple(only.tolist()))
            loss = cost(problem.metric, problem.labels, fewer.predict(problem.predictions))
        factor = serving.factor(float(serving.costs[members].sum()))
        return shortfall(problem.metric, loss) * factor

    while serving.cost_penalty and len(left) > 1:
        fewer = min(([one for one in left if one != out] for out in left), key=penalised)
        if penalised(fewer) > penalised(left):
            break
        left = fewer
    return left
