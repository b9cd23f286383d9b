"""95% confidence intervals that hold up near 0% and 100%, where resampling alone collapses.

On 359 images that are all classified right every resample is all right, too. What has not been
seen must be allowed for: the exact binomial interval does that for shares, and its relatives here
do it for losses and for other metrics in [0, 1]. `benchmarks/coverage.py` measures them.
"""

from __future__ import annotations

import math

from kt_tuning.evaluation.interval import Interval

TAIL = 0.025
"""Probability beyond each end of an interval."""


def share_interval(value: float, rows: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share.

    Sources: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in
    the case of the binomial"; for `rows` that are an effective number, and so no integer, Korn
    and Graubard (1998), "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data".

    Args:
        value: The share, 0 to 1; nan if it is undefined.
        rows: Number of rows that it is a share of, above 0.

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
        variance: Of `value`, estimated; 0 says nothing, as it does where no row failed.
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
        mean: Of the losses, none below 0.
        variance: Of `mean`.
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
    """
    value = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(-limit, value - down), min(limit, value + up))
