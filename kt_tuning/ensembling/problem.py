"""The problem that a solver solves: members' predictions, labels, a metric and serving costs.

The cost penalty is the share of its loss that a combination must save for each doubling of its
cost. So two combinations are compared by

    loss · (1 - cost_penalty) ^ -log2(cost),

in which neither the unit of the loss nor that of the cost matters.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.ensembling.combination import ARITHMETIC, Combination
from kt_tuning.evaluation import METRICS
from kt_tuning.evaluation.metric_functions import EPSILON
from kt_tuning.evaluation.metrics import check_labels

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

LOG_LOSS = "log_loss"

_SUM_TOLERANCE = 1e-3
# Weights x rows mixed together: 500 x 10,000 doubles may not fit where the members did.
_BLOCK_CELLS = 1_000_000
# Products of so many probabilities, or of sums of 100 of them, stay inside the doubles.
_FACTORS = 32
COST_PENALTY = 0.01
"""Twice the cost for one percent of the loss: two equal members are worth it if they err a little
differently, a member twenty times as large as the others must take away 4%."""


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Members' predictions, and the cost of weights.

    A cost is the metric itself, or its negative where more is better: lower is better.

    Attributes:
        predictions: (K, N, C) probabilities on rows that no member was trained on.
        labels: (N,) integers in 0..C-1.
        metric: Name in `METRICS`.
    """

    predictions: Floats
    labels: Integers
    metric: str = LOG_LOSS

    @property
    def members(self) -> int:
        """K."""
        return len(self.predictions)

    @functools.cached_property
    def of_truth(self) -> Floats:
        """Each member's probability of the true class (K, N), clipped as the metric clips it."""
        chosen = self.predictions[:, np.arange(len(self.labels)), self.labels]
        return np.clip(chosen.astype(np.float64), EPSILON, 1.0)

    @property
    def mixed(self) -> Floats:
        """The arrays that weights are applied to: (K, N, C), for log-loss `of_truth` (K, N)."""
        return self.of_truth if self.metric == LOG_LOSS else self.predictions

    def costs_of_sums(self, sums: Floats, count: int = 1) -> Floats:
        """Costs (M,) of M means, given as sums (M, ...) of `count` arrays of `mixed`."""
        if self.metric == LOG_LOSS:
            return np.log(count) - mean_log(sums)
        return np.array([cost(self.metric, self.labels, total / count) for total in sums])

    def cost(self, weights: Floats) -> float:
        """Cost of the members' mean with weights (K,)."""
        return float(self.costs(weights[None])[0])

    def costs(self, weights: Floats) -> Floats:
        """Costs (M,) of weights (M, K)."""
        block = max(1, _BLOCK_CELLS // self.mixed[0].size)
        blocks = (weights[start : start + block] for start in range(0, len(weights), block))
        return np.concatenate(
            [self.costs_of_sums(np.tensordot(some, self.mixed, axes=1)) for some in blocks]
        )

    @functools.cached_property
    def member_costs(self) -> Floats:
        """Costs (K,) of the members alone."""
        return self.costs(np.eye(self.members))


def cost(metric: str, labels: Integers, probabilities: Floats) -> float:
    """Cost of probabilities (N, C): lower is better, infinite where the metric is undefined."""
    return float(oriented(metric, np.array(METRICS[metric].function(labels, probabilities))))


def oriented(metric: str, values: Floats) -> Floats:
    """Turn values of a metric into costs."""
    costs = -values if METRICS[metric].direction == "max" else values
    return np.where(np.isnan(costs), np.inf, costs)


def shortfall(metric: str, cost: float) -> float:
    """Return the distance of a cost from that of a perfect score, which is 0 or -1."""
    return cost + 1.0 if METRICS[metric].direction == "max" else cost


def mean_log(values: Floats) -> Floats:
    """Mean logarithm along the last axis of (M, N): of products, so that few logarithms are taken.

    Args:
        values: Each between 1e-9 and 1e9.
    """
    rows, columns = values.shape
    even = columns - columns % _FACTORS
    products = np.multiply.reduce(values[:, :even].reshape(rows, _FACTORS, -1), axis=1)
    logs = np.log(products).sum(axis=1) + np.log(values[:, even:]).sum(axis=1)
    return logs / columns


def check_predictions(predictions: ArrayLike, labels: ArrayLike) -> tuple[Floats, Integers]:
    """Return predictions (K, N, C) and labels (N,) as arrays.

    Raises:
        DataError: if the shapes do not match, a label is out of range, the predictions are not
            probabilities, or there are fewer than 3 rows.
    """
    try:
        members, truth = np.asarray(predictions), np.asarray(labels)
    except ValueError as error:
        raise DataError(
            "Members should predict the same rows and classes: expected (K, N, C). "
            f"Received arrays of different shapes: {error}"
        ) from error
    if members.ndim != 3 or not members.size:
        raise DataError(
            "Expected predictions (K, N, C): members, rows, classes, none of them 0. "
            f"Received: {members.shape}."
        )
    check_labels(truth, members[0])
    if len(truth) < 3:
        raise DataError(
            "Weights are fitted on some rows and judged on others: give at least 3 validation "
            f"rows. Received: {len(truth)}."
        )
    for index, member in enumerate(members):
        sums = member.sum(axis=1, dtype=np.float64)
        # Written so that nan fails it.
        if not (member.min() >= 0 and np.abs(sums - 1.0).max() <= _SUM_TOLERANCE):
            raise DataError(
                "Predictions should be probabilities: finite, none below 0, rows summing to 1. "
                f"Member {index} is not so: leave it out, or end it with a softmax."
            )
    return members, truth


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
        if len(left) == len(found.kept()):
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
