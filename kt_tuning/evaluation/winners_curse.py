"""What the best of K validation scores is really worth.

The best of K scores on the same rows is too good: the winner was chosen for its luck, too. How much
luck a choice collects is measured by repeating it on bootstraps of the rows, where the score on all
rows is the truth.

Sources: Efron (1983), "Estimating the error rate of a prediction rule: improvement on
cross-validation", section 2 (the bootstrap's optimism); Tsamardinos, Greasidou and Borboudakis
(2018), "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
algorithm 2 (BBC-CV). `benchmarks/winners_curse.py` measures both.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.errors import DataError, OptionError
from kt_tuning.evaluation.bootstrap import draw_counts, percentiles
from kt_tuning.evaluation.interval import Interval
from kt_tuning.evaluation.metrics import Metric, RowMetric, check_labels, find_metric
from kt_tuning.records import Record

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

METHODS = ("optimism", "bbc-cv")
"""How the best score can be corrected; see `corrected_best`."""


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
    method: str = METHODS[0],
    resamples: int = 1000,
    seed: int = 0,
) -> CorrectedBest:
    """Correct the best of K scores on the same rows for having been chosen.

    "optimism": on each bootstrap of the rows the candidate that is best there is taken; how much
    higher it scores there than on all rows, beyond what all candidates do, is luck, and the mean of
    that is taken off the best score. Scores lie farther apart than what the candidates are worth,
    which would make the choice look easier than it was: before, they are drawn in towards their
    median until the upper half of them is spread as it would be without luck. The interval is the
    bootstrap's of the winner.

    "bbc-cv": on each bootstrap the candidate that is best there is judged on the rows that are not
    in it; the mean of these scores is the corrected one, and their percentiles the interval. As a
    bootstrap tells candidates apart only as well as half as many rows would, this is lower than it
    should be where candidates differ, and the interval wider.

    In `benchmarks/winners_curse.py` the best of 50 was 1.3 points of accuracy too good, and 0.1 too
    good (errors 0.4) corrected by "optimism", whose intervals covered the truth in 89 to 97 of 100
    searches. Simulated, it takes off a quarter too little where half of the candidates failed, and
    more than twice what it should where one is far better than others that are all alike. What
    choosing the best epoch on the same rows adds is not corrected.

    Of 200 candidates, 10,000 rows and 1,000 resamples, a metric that is a mean over rows (accuracy,
    log-loss, Brier, top-k) takes about a second, macro-averages ten seconds, areas under curves two
    minutes: give fewer resamples there.

    Args:
        predictions: K arrays (N, C) of probabilities, in the order in which equals are preferred;
            None for one that has none. One with a nan or infinite value cannot win. An array
            (E, N, C) is a candidate that was trained E times: its score is the mean over them.
        labels: (N,) integers in 0..C-1.
        metric: Name in `METRICS`: what the best was chosen by.
        method: One of `METHODS`.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.

    Raises:
        OptionError: on an unknown metric or method, or fewer than 1 resample.
        DataError: if no candidate has finite predictions, shapes and labels do not fit, or there
            are fewer than 2 rows.
    """
    row = find_metric(metric)
    if method not in METHODS:
        raise OptionError(
            f"method should be one of {', '.join(map(repr, METHODS))}. Received: {method!r}."
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
            kept.append(array if row.per_row is None else _mean_per_row(row.per_row, truth, array))
    if not kept:
        raise DataError(
            "The best of no candidates: give at least one array of finite predictions (N, classes)."
        )
    if len(truth) < 2:
        raise DataError("A choice cannot be judged on the 1 row it was made on: give at least 2.")
    candidates: _Candidates
    candidates = _Scored(row, kept, truth) if row.per_row is None else _Averaged(kept)
    sign = 1.0 if row.direction == "max" else -1.0
    everything = candidates.scores(np.ones((len(truth), 1)))[:, 0]
    best = int(_best(sign * everything[:, None])[0])
    bootstraps = draw_counts(len(truth), resamples, np.random.default_rng(seed))
    if method == "optimism":
        drawn = np.concatenate([candidates.scores(counts) for counts in bootstraps], axis=1)
        luck = drawn - everything[:, None]
        value = float(everything[best]) - sign * _optimism(sign * everything, sign * luck)
        low, high = (value + limit for limit in percentiles(luck[best]))
    else:
        judged = _judged(candidates, sign, bootstraps)
        value = float(np.nanmean(judged)) if not np.isnan(judged).all() else float("nan")
        low, high = percentiles(judged)
    return CorrectedBest(
        metric=metric,
        raw=float(everything[best]),
        corrected=Interval(value, low, high),
        best=places[best],
        candidates=len(places),
        rows=len(truth),
    )


def _finite(prediction: ArrayLike, labels: Labels) -> Floats | None:
    """Return predictions (E, N, C) that fit the labels, or None if one is nan or infinite."""
    array = np.asarray(prediction)
    array = array if array.ndim == 3 else array[None]
    for training in array:
        check_labels(labels, training)
    return array if np.isfinite(array).all() else None


def _mean_per_row(per_row: RowMetric, labels: Labels, predictions: Floats) -> Floats:
    """Return a candidate's number a row (N,), the mean over its trainings (E, N, C)."""
    means: Floats = np.mean([per_row(labels, training) for training in predictions], axis=0)
    return means


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
        trainings = self._predictions[place]
        return np.mean([self._metric.counted(self._labels, t, counts) for t in trainings], axis=0)


def _optimism(scores: Floats, luck: Floats) -> float:
    """Return the mean luck of what is best with it.

    Args:
        scores: (K,) on all rows; higher is better.
        luck: (K, R): what is added to them on each resample.

    Returns:
        0 or more but for chance; nan if the scores are defined on no resample.
    """
    luck = luck[:, ~np.isnan(luck).any(axis=0)]
    if luck.shape[1] == 0:
        return float("nan")
    # What all have in common decides nothing, and is 0 on average.
    luck = luck - luck.mean(axis=0)
    chosen = _best(_drawn_in(scores, luck)[:, None] + luck)
    return float(luck[chosen, np.arange(luck.shape[1])].mean())


def _drawn_in(scores: Floats, luck: Floats) -> Floats:
    """Return scores (K,) as far apart as they would be without luck (K, R).

    Both spreads are those of the upper half: failures would hide how close the best are.
    """
    middle = np.median(scores)
    upper = scores >= middle
    spread = 2.0 * float(((scores[upper] - middle) ** 2).sum()) / max(1, len(scores) - 1)
    by_luck = float(luck[upper].var(axis=0, ddof=1).mean()) if upper.sum() > 1 else 0.0
    share = max(0.0, 1.0 - by_luck / spread) if spread > 0 else 0.0
    return middle + math.sqrt(share) * (scores - middle)


def _judged(candidates: _Candidates, sign: float, blocks: Iterable[Floats]) -> Floats:
    """Choose on each resample and judge on what it left out: scores (R,)."""
    scores = []
    for counts in blocks:
        chosen = _best(sign * candidates.scores(counts))
        scores.append(candidates.scores_of(chosen, (counts == 0).astype(np.float64)))
    return np.concatenate(scores)


def _best(scores: Floats) -> Labels:
    """Return the first of the best candidates (R,) by scores (K, R); an undefined one is last."""
    return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=0)
