"""95% confidence intervals that also cover near 0% and 100%, where resampling alone does not.

On 359 images that are all classified right every resample is all right, too. Failures that were not
seen must be allowed for: the exact binomial interval does that for shares, and its relatives here
for losses and for other metrics in [0, 1]. `benchmarks/coverage.py` measures them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
TAIL = 0.025
"""Probability beyond each end of an interval."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A measured value and its 95% interval.

    Attributes:
        value: The value on all images; nan where the metric is undefined.
        low: Lower end of the interval, not above `value`; nan if there is no interval.
        high: Upper end of the interval, not below `value`; nan if there is no interval.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            # JSON knows no nan: records write it as null.
            object.__setattr__(self, name, math.nan if number is None else float(number))

    def __str__(self) -> str:
        return f"{self.value:7.4f}  {self.limits}"

    @property
    def limits(self) -> str:
        """Both ends, or why there are none."""
        if math.isnan(self.value):
            return "n/a (undefined)"
        if math.isnan(self.low) or math.isnan(self.high):
            return "n/a (a class has no images)"
        return f"{self.low:.4f} to {self.high:.4f}"


def share_interval(hits: int, rows: int) -> tuple[float, float]:
    """Return Blaker's exact interval of a share.

    It contains the truth with a probability of at least 95%, whatever the truth, like the interval
    of Clopper and Pearson, and lies within that. Near 0 and 1 the probability is often above 97%:
    of 50 images that are each right with 99.7%, 50 are right 86% of the time and at least 49 in
    99%, so that no interval reaches anything in between.

    Source: Blaker (2000), "Confidence curves and improved exact confidence intervals for discrete
    distributions".

    Args:
        hits: Rows for which it holds.
        rows: All rows, at least 1.

    Returns:
        Its ends, around `hits / rows` and within 0 and 1.
    """
    share = hits / rows
    low, high = effective_share_interval(share, rows)
    return _blaker_end(low, share, hits, rows), _blaker_end(high, share, hits, rows)


def _blaker_end(outside: float, inside: float, hits: int, rows: int) -> float:
    """Return the point nearest to `outside` that is not rejected, within a millionth."""
    if outside == inside or outside in (0.0, 1.0):
        return outside
    for _ in range(3):
        grid = np.linspace(outside, inside, 200)
        first = int(np.argmax(_acceptability(grid, hits, rows) > 2.0 * TAIL))
        outside, inside = grid[max(0, first - 1)], grid[first]
    return float(outside)


def _acceptability(shares: Floats, hits: int, rows: int) -> Floats:
    """Return the probability of counts whose tail is as unlikely as that of `hits`, or more so."""
    from scipy.stats import binom

    fewer, more = binom.cdf(hits, rows, shares), binom.sf(hits - 1, rows, shares)
    # Equal tails must not differ by rounding.
    tail = np.minimum(fewer, more) * (1.0 + 1e-10)
    lowest = binom.ppf(tail, rows, shares)
    lowest -= binom.cdf(lowest, rows, shares) > tail
    highest = binom.isf(tail, rows, shares)
    highest += binom.sf(highest, rows, shares) > tail
    return np.minimum(
        1.0,
        np.where(
            more <= fewer,
            more + binom.cdf(lowest, rows, shares),
            fewer + binom.sf(highest, rows, shares),
        ),
    )


def effective_share_interval(value: float, rows: float) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson for an effective number of rows.

    Source: Korn and Graubard (1998), "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data".

    Args:
        value: The share, 0 to 1; nan if it is undefined.
        rows: Number of rows that it is a share of, above 0, not necessarily whole.

    Returns:
        Its ends, around `value` and within 0 and 1; nan for nan.
    """
    from scipy.special import betaincinv

    if math.isnan(value):
        return math.nan, math.nan
    hits, misses = value * rows, (1.0 - value) * rows
    low = float(betaincinv(hits, misses + 1.0, TAIL)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1.0, misses, 1.0 - TAIL)) if misses > 0 else 1.0
    return min(low, value), max(high, value)


def effective_rows(value: float, variance: float, most: float) -> float:
    """Return of how many independent rows a share would have the same variance.

    Args:
        value: The metric, 0 to 1.
        variance: Estimated variance of `value`; 0, as where no row failed, is not used.
        most: Upper limit: a variance that was estimated from few failures may be far too small.
    """
    return min(value * (1.0 - value) / variance, most) if variance > 0 else most


def loss_interval(mean: float, variance: float, largest: float, rows: int) -> tuple[float, float]:
    """Return the interval of a mean of losses, of which a few may make up most.

    The mean is a weighted sum of rare events. Its upper end is a quantile of the gamma
    distribution that has its mean and variance with one more event of the largest size; the lower
    end that of one without. A mean of equal losses gets the lower end of the exact binomial
    interval.

    Source: Fay and Feuer (1997), "Confidence intervals for directly standardized rates: a method
    based on the gamma distribution".

    Args:
        mean: Mean of the losses, none below 0.
        variance: Variance of `mean`.
        largest: The largest loss that a row can be expected to have, at least that of any here.
        rows: Number of losses.

    Returns:
        Its ends, around `mean`; the lower one is not below 0.
    """
    from scipy.special import gammaincinv

    low = mean * TAIL ** (1.0 / rows)
    if variance > 0:
        low = min(low, variance / mean * float(gammaincinv(mean**2 / variance, TAIL)))
    event = largest / rows
    if event == 0:
        return low, mean
    mean_with, variance_with = mean + event, variance + event**2
    scale = variance_with / mean_with
    return low, max(mean, scale * float(gammaincinv(mean_with / scale, 1.0 - TAIL)))


def difference_interval(first: Interval, second: Interval, *, limit: float) -> Interval:
    """Return first - second, with its interval, of two values that were measured independently.

    Source: Newcombe (1998), "Interval estimation for the difference between independent
    proportions", method 10; for other values Zou and Donner (2008), "Construction of confidence
    limits about effect measures".

    Args:
        first: A value with its 95% interval.
        second: Another one.
        limit: The largest difference there can be.

    Returns:
        The difference; without an interval if one of the two has none.
    """
    value = first.value - second.value
    if any(math.isnan(end) for end in (first.low, first.high, second.low, second.high)):
        return Interval(value, math.nan, math.nan)
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(-limit, value - down), min(limit, value + up))
