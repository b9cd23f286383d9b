"""A 95% interval for every metric, some of them by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.intervals import (
    Interval,
    effective_rows,
    effective_share_interval,
    loss_interval,
    share_interval,
)
from kt_tuning.evaluation.metrics import METRICS, Metric, metrics_for

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

# Resamples x rows drawn together: 8 MB of counts fit a cache, more is slower.
_BLOCK_CELLS = 1_000_000


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
        value: The model's value, if it is known to differ from the measured one, such as after a
            correction; the interval is then around this one, with the noise of the rows.
        added_variance: Variance of `value` besides that noise.
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
