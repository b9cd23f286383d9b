"""What the best of K validation scores is really worth.

The best of K scores on the same rows is too good: the winner was chosen for its luck, too. Here
the choice itself is repeated on resamples of the rows, and each time the chosen model is judged on
the rows that the resample left out.

Source: Tsamardinos, Greasidou and Borboudakis (2018), "Bootstrapping the out-of-sample predictions
for efficient and accurate cross-validation", algorithm 2 (BBC-CV). Its resamples are bootstraps,
which tell candidates apart only as well as half as many rows would: the corrected score comes out
too low where candidates differ. Resamples of 80% of the rows, without replacement, do not have this
fault, and are what is drawn unless asked otherwise; `benchmarks/winners_curse.py` measures both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.errors import DataError, OptionError
from kt_tuning.evaluation.bootstrap import draw_counts, draw_parts, percentiles
from kt_tuning.evaluation.interval import Interval
from kt_tuning.evaluation.metrics import Metric, check_labels, find_metric
from kt_tuning.records import Record

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

LEFT_OUT = 0.2
"""Share of the rows that a candidate is judged on: less is less biased, and varies more."""


@dataclasses.dataclass(frozen=True)
class CorrectedBest(Record):
    """The best validation score, and what it is worth.

    Attributes:
        metric: Name in `METRICS`.
        raw: The best score, as it was measured: optimistic.
        corrected: What a model chosen in this way is expected to score on new images, with its
            95% interval.
        best: Which one it is: its place among the predictions; in a run, the trial's number.
        candidates: Models that it was chosen from.
        rows: Images that it was chosen on.
    """

    metric: str
    raw: float
    corrected: Interval
    best: int
    candidates: int
    rows: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "corrected", Interval.of(self.corrected))

    @property
    def optimism(self) -> float:
        """By how much the raw score is too good; not below 0 except by chance."""
        difference = self.raw - self.corrected.value
        return difference if find_metric(self.metric).direction == "max" else -difference

    def __str__(self) -> str:
        value, low, high = self.corrected.value, self.corrected.low, self.corrected.high
        return (
            f"{self.metric} {self.raw:.4f}, the best of {self.candidates} on {self.rows:,} images; "
            f"corrected for that {value:.4f} (95% interval {low:.4f} to {high:.4f})"
        )


def corrected_best(
    predictions: Iterable[ArrayLike | None],
    labels: ArrayLike,
    metric: str = "accuracy",
    *,
    left_out: float | None = LEFT_OUT,
    resamples: int = 1000,
    seed: int = 0,
) -> CorrectedBest:
    """Correct the best of K scores on the same rows for having been chosen.

    For each resample of the rows, the candidate that is best on it is judged on the rows that are
    not in it; the mean of these scores is the corrected one. A metric that is no mean over rows is
    a little different on the fewer rows left out. What choosing the best epoch on the same rows
    adds is not corrected.

    The limits are percentiles of the scores of rows left out, drawn in towards their mean: a share
    s of N rows, taken without replacement, has (1 - s) / s times the variance of N new ones.

    Of 200 candidates, 10,000 rows and 1,000 resamples, a metric that is a mean over rows (accuracy,
    log-loss, Brier, top-k) takes about a second, macro-averages ten seconds, areas under curves two
    minutes: give fewer resamples there.

    Args:
        predictions: K arrays (N, C) of probabilities, in the order in which equals are preferred;
            None for one that has none. One with a nan or infinite value cannot win.
        labels: (N,) integers in 0..C-1.
        metric: Name in `METRICS`: what the best was chosen by.
        left_out: Share of the rows that a resample leaves out, above 0 and below 1; None for the
            bootstrap of BBC-CV, which leaves out 37% on average and draws the others repeatedly:
            lower than it should be, but varying least.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.

    Raises:
        OptionError: on an unknown metric, a share that is none, or fewer than 1 resample.
        DataError: if no candidate has finite predictions, shapes and labels do not fit, or there
            are fewer than 2 rows.
    """
    row = find_metric(metric)
    if left_out is not None and not 0 < left_out < 1:
        raise OptionError(
            "left_out is a share of the rows, above 0 and below 1, or None for the bootstrap. "
            f"Received: {left_out}."
        )
    if resamples < 1:
        raise OptionError(f"resamples should be 1 or more. Received: {resamples}.")
    truth = np.asarray(labels)
    places: list[int] = []
    kept: list[Floats] = []
    for place, prediction in enumerate(predictions):
        array = None if prediction is None else _finite(prediction, truth)
        if array is not None:
            places.append(place)
            kept.append(array if row.per_row is None else row.per_row(truth, array))
    if not kept:
        raise DataError(
            "The best of no candidates: give at least one array of finite predictions (N, classes)."
        )
    if len(truth) < 2:
        raise DataError("A choice cannot be judged on the 1 row it was made on: give at least 2.")
    candidates: _Candidates
    candidates = _Scored(row, kept, truth) if row.per_row is None else _Averaged(kept)
    rng = np.random.default_rng(seed)
    sign = 1.0 if row.direction == "max" else -1.0
    everything = candidates.scores(np.ones((len(truth), 1)))
    best = int(_best(sign * everything)[0])
    counts = (
        draw_counts(len(truth), resamples, rng)
        if left_out is None
        else draw_parts(len(truth), left_out, resamples, rng)
    )
    drawn, share = _judged(candidates, sign, counts)
    defined = drawn[~np.isnan(drawn)]
    value = float(defined.mean()) if len(defined) else float("nan")
    narrower = np.sqrt(share / (1.0 - share))
    low, high = (value + narrower * (limit - value) for limit in percentiles(drawn))
    return CorrectedBest(
        metric=metric,
        raw=float(everything[best, 0]),
        corrected=Interval(value, low, high),
        best=places[best],
        candidates=len(places),
        rows=len(truth),
    )


def _finite(prediction: ArrayLike, labels: Labels) -> Floats | None:
    """Return predictions (N, C) that fit the labels, or None if one is nan or infinite."""
    array = np.asarray(prediction)
    check_labels(labels, array)
    return array if np.isfinite(array).all() else None


class _Candidates(Protocol):
    """K models on the same N rows."""

    def scores(self, counts: Floats) -> Floats:
        """Return everyone's score (K, R) on resamples given as counts (N, R)."""

    def scores_of(self, chosen: Labels, counts: Floats) -> Floats:
        """Return the score (R,) of one chosen model (R,) on each resample."""


class _Averaged:
    """Candidates by a metric that is a mean over rows: one number a row and candidate is kept."""

    def __init__(self, values: list[Floats]) -> None:
        self._values = np.stack(values)

    def scores(self, counts: Floats) -> Floats:
        return self._values @ counts / counts.sum(axis=0)

    def scores_of(self, chosen: Labels, counts: Floats) -> Floats:
        totals = np.einsum("rn,nr->r", self._values[chosen], counts)
        rows = counts.sum(axis=0)
        return np.divide(totals, rows, out=np.full(len(rows), np.nan), where=rows > 0)


class _Scored:
    """Candidates by any other metric."""

    def __init__(self, metric: Metric, predictions: list[Floats], labels: Labels) -> None:
        self._metric = metric
        self._predictions = predictions
        self._labels = labels

    def scores(self, counts: Floats) -> Floats:
        return np.stack([self._score(place, counts) for place in range(len(self._predictions))])

    def scores_of(self, chosen: Labels, counts: Floats) -> Floats:
        found = np.full(len(chosen), np.nan)
        some = counts.sum(axis=0) > 0
        for place in np.unique(chosen):
            where = some & (chosen == place)
            if where.any():
                found[where] = self._score(place, counts[:, where])
        return found

    def _score(self, place: int, counts: Floats) -> Floats:
        return self._metric.counted(self._labels, self._predictions[place], counts)


def _judged(candidates: _Candidates, sign: float, blocks: Iterable[Floats]) -> tuple[Floats, float]:
    """Choose on each resample and judge on what it left out: scores (R,), share of rows left."""
    scores, shares = [], []
    for counts in blocks:
        chosen = _best(sign * candidates.scores(counts))
        left_out = (counts == 0).astype(np.float64)
        scores.append(candidates.scores_of(chosen, left_out))
        shares.append(left_out.mean())
    return np.concatenate(scores), float(np.mean(shares))


def _best(scores: Floats) -> Labels:
    """Return the first of the best candidates (R,) by scores (K, R); an undefined one is last."""
    return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=0)
