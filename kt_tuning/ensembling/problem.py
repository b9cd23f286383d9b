"""The problem that a solver solves: members' predictions, labels and a metric."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError
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
