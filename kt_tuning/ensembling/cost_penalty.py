"""What members cost to serve, and what a combination must gain to be worth it.

The rule has one number, the price: the share of its loss that a combination must lose for each
doubling of what it costs to serve. So two combinations are compared by

    loss · (1 - price) ^ -log2(cost),

in which no unit matters, neither that of the loss nor that of the cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling.combination import ARITHMETIC, Combination
from kt_tuning.ensembling.problem import Problem, cost, shortfall

Floats = NDArray[np.floating[Any]]

PRICE = 0.01
"""Twice the cost for one percent of the loss: two equal members are worth it if they err a little
differently, a member twenty times as large as the others must take away 4%."""


@dataclasses.dataclass(frozen=True, eq=False)
class Serving:
    """What K members cost.

    Attributes:
        costs: (K,) above 0, in any unit.
        price: In [0, 1); with 0 costs only decide between combinations that are equally good.

    Raises:
        OptionError: if a cost or the price is out of range.
    """

    costs: Floats
    price: float = PRICE

    def __post_init__(self) -> None:
        # Written so that nan fails it.
        if not 0 <= self.price < 1:
            raise OptionError(
                "`price` is the share of the loss that a doubling of the cost must save, from 0 "
                f"to less than 1. Received: price={self.price!r}"
            )
        costs = np.asarray(self.costs, dtype=np.float64)
        if costs.ndim != 1 or not costs.size or not np.all((costs > 0) & np.isfinite(costs)):
            raise OptionError(
                f"Members should cost something, each of them. Received: costs={costs.tolist()}"
            )
        object.__setattr__(self, "costs", costs / costs.min())

    @classmethod
    def of(cls, costs: ArrayLike | None, members: int, price: float) -> Self:
        """Return the costs of the members; where they are not known, all are equal and free."""
        found = cls(np.ones(members) if costs is None else np.asarray(costs), price)
        if len(found.costs) != members:
            raise OptionError(
                f"Expected one cost for each of the {members} members. Received: "
                f"{len(found.costs)}."
            )
        return found if costs is not None else dataclasses.replace(found, price=0.0)

    def cost(self, combination: Combination) -> float:
        """What the members that count cost together, the cheapest of all being 1."""
        return float(self.costs[combination.kept()].sum())

    def factor(self, cost: float) -> float:
        """By what a loss is multiplied, to compare it with those of other costs."""
        return float((1 - self.price) ** -np.log2(cost))


def worth_serving(
    fit: Callable[[Problem], Combination], problem: Problem, serving: Serving
) -> Combination:
    """Fit a combination of the members that are worth what they cost.

    Members are taken out one after the other, each time that without which the rule at the head of
    this module judges best, as long as that is no worse; then the others are fitted anew, and so
    on until all stay.

    Args:
        fit: Finds weights.
        problem: K members.
        serving: What they cost.

    Returns:
        A combination of all K; the weights of those taken out are 0.
    """
    kept = np.arange(problem.members)
    while True:
        part = dataclasses.replace(problem, predictions=problem.predictions[kept])
        found = fit(part)
        left = _left(found, part, dataclasses.replace(serving, costs=serving.costs[kept]))
        if len(left) == found.size:
            weights = np.zeros(problem.members)
            weights[kept] = found.weights
            return dataclasses.replace(found, weights=tuple(weights.tolist()), temperatures=())
        kept = kept[left]


def _left(combination: Combination, problem: Problem, serving: Serving) -> list[int]:
    left = combination.kept()
    if not serving.price:
        return left

    def burden(members: Sequence[int]) -> float:
        only = _only(combination, members)
        loss = shortfall(problem.metric, _cost(only, problem))
        return loss * serving.factor(serving.cost(only))

    while len(left) > 1:
        fewer = min(([one for one in left if one != out] for out in left), key=burden)
        if burden(fewer) > burden(left):
            break
        left = fewer
    return left


def _only(combination: Combination, members: Sequence[int]) -> Combination:
    """The same combination without the other members; a geometric mean stays as sure as it was."""
    weights = np.zeros(len(combination.weights))
    weights[members] = np.array(combination.weights)[members]
    return dataclasses.replace(combination, weights=tuple((weights / weights.sum()).tolist()))


def _cost(combination: Combination, problem: Problem) -> float:
    if combination.pool == ARITHMETIC and not combination.calibrations:
        return problem.cost(np.array(combination.weights))
    return cost(problem.metric, problem.labels, combination.predict(problem.predictions))
