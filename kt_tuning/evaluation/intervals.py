"""95% confidence intervals that also cover near 0% and 100%, where resampling alone does not.

On 359 images that are all classified right every resample is all right, too. Failures that were not
seen must be allowed for: the exact binomial interval does that for shares, and its relatives here
for losses and for other metrics in [0, 1]. `benchmarks/coverage.py` measures them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.metrics import METRICS, Metric, metrics_for

Floats = NDArray[np.floating[Any]]
TAIL = 0.025
"""Probability beyond each end of an interval."""
Labels = NDArray[np.integer[Any]]
# Resamples x rows drawn together: 8 MB of counts fit a cache, more is slower.
_BLOCK_CELLS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A measured value and its 95% interval.

    Attributes:
        value: The value on all images; nan if the metric is undefined.
        low: Lower end of the interval, at most `value`; nan if there is no interval.
        high: Upper end of the interval, at least `value`; nan if there is no interval.
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
        """Both ends as text, or the reason why there is no interval."""
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


def bootstrap_intervals(
    labels: Labels,
    probabilities: Floats,
    *,
    resamples: int,
    rng: np.random.Generator,
    names: Sequence[str] | None = None,
) -> dict[str, Interval]:
    """Measure metrics, each with its 95% interval.

    Every interval contains the value, stays within the metric's range, and allows for failures
    that are rare enough not to be among the rows:

    * shares of rows (accuracy, top-k) have an exact binomial interval, see `share_interval`;
    * mean losses (log-loss, Brier score) that of a sum of rare events, see `loss_interval`, which
      a row may yet add to by being of the class that is predicted second;
    * the others the binomial interval of an effective number of rows, namely of so many as give
      the variance over resamples of the rows. Where the resamples are lower or higher on average
      than the value, so is the value itself of what it would be on many images, and the interval
      reaches as far around a value that is corrected for that.

    Macro-averaged precision, recall and F1 have no interval where a class has no rows: such a class
    counts 0 if it is predicted and is left out if it is not, so that the value is not an estimate
    of what it would be on many images: intervals as of the other metrics contained that in as few
    as 69% of simulations.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        resamples: Number of resamples, at least 1.
        rng: Draws the rows.
        names: Rows of `METRICS`; all that say something about C classes if None.

    Returns:
        Name -> interval, in the order of `names`; nan where a metric is undefined.
    """
    chosen = metrics_for(probabilities.shape[1]) if names is None else tuple(names)
    resampled = [name for name in chosen if METRICS[name].per_row is None]
    drawn: dict[str, list[Floats]] = {name: [] for name in resampled}
    for counts in draw_counts(len(labels), resamples, rng):
        for name, values in drawn.items():
            values.append(METRICS[name].counted(labels, probabilities, counts))
    return {
        name: metric_interval(
            METRICS[name],
            labels,
            probabilities,
            np.concatenate(drawn[name]) if name in drawn else None,
        )
        for name in chosen
    }


def metric_interval(
    metric: Metric,
    labels: Labels,
    probabilities: Floats,
    drawn: Floats | None,
    *,
    value: float | None = None,
    added_variance: float = 0.0,
) -> Interval:
    """Return a metric with its 95% interval; see `bootstrap_intervals`.

    Args:
        metric: The metric.
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        drawn: (R,) the metric on resamples of the rows; not used for a mean over rows.
        value: The model's value if it differs from the measured one, as after a correction.
        added_variance: Variance of `value` besides the noise of the rows.
    """
    measured = metric.function(labels, probabilities)
    value = measured if value is None else value
    rows = len(labels)
    if metric.every_class and len(np.unique(labels)) < probabilities.shape[1]:
        return Interval(value, math.nan, math.nan)
    if metric.is_share and value == measured and added_variance == 0.0:
        return Interval(value, *share_interval(round(value * rows), rows))
    if metric.is_share:
        variance = value * (1.0 - value) / rows + added_variance
        return Interval(
            value, *effective_share_interval(value, effective_rows(value, variance, rows))
        )
    if metric.per_row is not None:
        losses = metric.per_row(labels, probabilities)
        variance = float(losses.var(ddof=1)) / rows if rows > 1 else 0.0
        if measured > 0:
            variance *= value / measured
        largest = max(float(losses.max()), unseen_loss(metric, probabilities))
        low, high = loss_interval(value, variance + added_variance, largest, rows)
        return Interval(value, low, min(high, metric.largest))
    defined = np.empty(0) if drawn is None else drawn[~np.isnan(drawn)]
    variance, bias = (
        (float(defined.var()), float(defined.mean()) - measured) if len(defined) else (0.0, 0.0)
    )
    most = most_rows(metric, labels)
    variance = value * (1.0 - value) / effective_rows(measured, variance, most) + added_variance
    effective = effective_rows(value, variance, most)
    centres = (value, float(np.clip(value - bias, 0.0, 1.0)))
    ends = [effective_share_interval(centre, effective) for centre in centres]
    return Interval(value, min(low for low, _ in ends), max(high for _, high in ends))


def most_rows(metric: Metric, labels: Labels) -> float:
    """Return of how many rows a macro-average is a share, at most.

    Kish's effective number, as a row of a class counts the less the more rows the class has; and
    more if a failed row does not cost all that it counts.

    Source: Kish (1965), "Survey sampling", section 8.2.
    """
    support = np.bincount(labels)
    support = support[support > 0]
    return float(len(support) ** 2 / (1.0 / support).sum()) / metric.failed_row


def unseen_loss(metric: Metric, probabilities: Floats) -> float:
    """Return the loss to expect of a row whose class is the one predicted second.

    The mean over the rows, weighted by the probability that the model gives to that, at twice the
    temperature: a model that is too sure of itself would leave out the rows that cost the most.

    Args:
        metric: A mean over rows.
        probabilities: (N, C).
    """
    assert metric.per_row is not None
    second = np.argpartition(probabilities, -2, axis=1)[:, -2]
    believed = probabilities[np.arange(len(second)), second].astype(np.float64)
    # Rows that are sure beyond the last digit would otherwise weigh nothing, all of them.
    weights = np.sqrt(np.maximum(believed, 1e-7))
    return float(np.average(metric.per_row(second, probabilities), weights=weights))


def draw_counts(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each row was drawn, (rows, r), for some resamples at a time."""
    block = max(1, _BLOCK_CELLS // rows)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        chosen = rng.integers(rows, size=(size, rows))
        cells = chosen * size + np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size).astype(np.float64)
