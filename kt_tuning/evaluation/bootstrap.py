"""Resampling the rows: percentile bootstrap intervals for every metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.interval import Interval
from kt_tuning.evaluation.metrics import METRICS, metrics_for

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
    """Measure metrics, with the 2.5th and 97.5th percentile over resamples of the rows.

    Rows are drawn with replacement, as many as there are. Labels are not stratified: how many
    images of a class a new sample would have is uncertain, too. Every metric is computed exactly
    on every resample, ROC-AUC included, and all on the same resamples. A resample on which a
    metric is undefined is left out of its percentiles.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        resamples: Number of resamples, at least 1.
        rng: Draws the rows.
        names: Rows of `METRICS`; all that say something about C classes if None.

    Returns:
        Name -> interval, in the order of `names`.
    """
    chosen = metrics_for(probabilities.shape[1]) if names is None else tuple(names)
    drawn = bootstrap_draws(labels, probabilities, chosen, resamples=resamples, rng=rng)
    return {
        name: Interval(METRICS[name].function(labels, probabilities), *percentiles(drawn[name]))
        for name in chosen
    }


def bootstrap_draws(
    labels: Labels,
    probabilities: Floats,
    names: Sequence[str],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Return what each metric is on each resample of the rows: name -> (resamples,)."""
    drawn: dict[str, list[Floats]] = {name: [] for name in names}
    for counts in draw_counts(len(labels), resamples, rng):
        for name in names:
            drawn[name].append(METRICS[name].counted(labels, probabilities, counts))
    return {name: np.concatenate(values) for name, values in drawn.items()}


def draw_counts(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each row was drawn, (rows, r), for some resamples at a time."""
    for size in _blocks(rows, resamples):
        chosen = rng.integers(rows, size=(size, rows))
        cells = chosen * size + np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size).astype(np.float64)


def _blocks(rows: int, resamples: int) -> list[int]:
    """Return how many resamples are drawn at a time."""
    block = max(1, _BLOCK_CELLS // rows)
    return [min(block, resamples - start) for start in range(0, resamples, block)]


def percentiles(values: Floats) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the values that are not nan."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
