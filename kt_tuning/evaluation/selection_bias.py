"""What the best of K validation scores is really worth.

The best of K scores on the same rows is too good: the winner was chosen for its luck, too.

Sources: Efron (2011), "Tweedie's formula and selection bias"; Morris (1983), "Parametric empirical
Bayes inference: theory and applications"; Tsamardinos, Greasidou and Borboudakis (2018),
"Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
algorithm 2 (BBC-CV). `benchmarks/winners_curse.py` measures both on trained
networks, `benchmarks/coverage.py` where the truth is known.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.bootstrap import draw_counts, metric_interval
from kt_tuning.evaluation.intervals import Interval
from kt_tuning.evaluation.metrics import Metric, RowMetric, check_labels, find_metric

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

EPOCH_CAVEAT = (
    "that the epoch of each was chosen on the same images is not corrected, and typically adds 1.4 "
    "to 2.4 points of accuracy"
)
"""What is said wherever a score is shown that a correction, or cross-fitting, leaves too good."""

METHODS = ("empirical-bayes", "bbc-cv")
"""How the best score can be corrected; see `corrected_best`."""


@dataclasses.dataclass(frozen=True)
class CorrectedBest(Record):
    """The best validation score, and what it is worth.

    Attributes:
        metric: Name in `METRICS`.
        raw: The best score, as it was measured: optimistic.
        corrected: What a model chosen in this way is expected to score on new images, with its
            95% interval; never better than `raw`.
        best: Which one it is: its place among the predictions; in a run, the trial's number.
        candidates: Models that it was chosen from.
        rows: Images that it was chosen on.
        best_epochs: Whether each candidate is a training's best epoch, chosen on the same images,
            without that having been corrected: `corrected` is still too good by what it adds.
        epochs: Epochs of all candidates together, if the choice among them is corrected as well;
            otherwise 0.
    """

    metric: str
    raw: float
    corrected: Interval
    best: int
    candidates: int
    rows: int
    best_epochs: bool = False
    epochs: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "corrected", Interval.of(self.corrected))

    @property
    def optimism(self) -> float:
        """By how much the raw score is too good; not below 0."""
        difference = self.raw - self.corrected.value
        return difference if find_metric(self.metric).direction == "max" else -difference

    def __repr__(self) -> str:
        return f"CorrectedBest({self})"

    def __str__(self) -> str:
        epochs = f" and of their {self.epochs:,} epochs" if self.epochs else ""
        return (
            f"{self.metric} {self.raw:.4f}, the best of {self.candidates}{epochs} on "
            f"{self.rows:,} images; corrected for that {self.corrected.value:.4f} "
            f"(95% interval {self.corrected.limits})"
            + (f"; {EPOCH_CAVEAT}" if self.best_epochs else "")
        )


def corrected_best(
    predictions: Iterable[ArrayLike | None],
    labels: ArrayLike,
    metric: str = "accuracy",
    *,
    other_epochs: ArrayLike | None = None,
    method: str = METHODS[0],
    resamples: int = 1000,
    seed: int = 0,
) -> CorrectedBest:
    """Correct the best of K scores on the same rows for having been chosen.

    "empirical-bayes": the candidates' true scores are estimated from all of them together, see
    `optimism_of_best`: the winner's is drawn towards those of the others by as much as luck
    could have set them apart.

    "bbc-cv": on each bootstrap of the rows the candidate that is best there is judged on the rows
    that are not in it; the mean of these scores is the corrected one. As a bootstrap tells
    candidates apart only as well as half as many rows would, this is lower than it should be where
    candidates differ.

    If each candidate is a training's best epoch, and that epoch was chosen on the same rows, give
    the scores of the other epochs: they are candidates, too. How large their noise is, is taken
    from the predictions of the K best ones. Otherwise that choice is not corrected, nor can it be
    with a single training or with "bbc-cv".

    Either way the interval is that of a model which has the corrected score on as many rows, see
    `bootstrap_intervals`, and a little wider, as the correction is an estimate, too. Of many
    candidates that err independently it is wider than it need be.

    By "empirical-bayes" a metric that is a mean over rows (accuracy, log-loss, Brier, top-k) needs
    no resamples, as the variance of a mean is known. Of 200 candidates, 10,000 rows and 1,000
    resamples, macro-averages take ten seconds, areas under curves two minutes: give fewer there.

    Args:
        predictions: K arrays (N, C) of probabilities, in the order in which equals are preferred;
            None for one that has none. One with a nan or infinite value cannot win. An array
            (E, N, C) is a candidate that was trained E times: its score is the mean over them.
        labels: (N,) integers in 0..C-1.
        metric: Name in `METRICS`: what the best was chosen by.
        other_epochs: (M,) the metric on the same rows after all other epochs of all candidates;
            nan after one that diverged. None if the candidates are no best epochs, or the scores
            are not known.
        method: One of `METHODS`.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.

    Raises:
        OptionError: on an unknown metric or method, fewer than 1 resample, or `other_epochs` with
            "bbc-cv".
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
    if other_epochs is not None and method == "bbc-cv":
        raise OptionError(
            "method 'bbc-cv' cannot correct the choice of the epoch: leave out `other_epochs`, or "
            "pass method='empirical-bayes'."
        )
    truth = np.asarray(labels)
    places: list[int] = []
    kept: list[Floats] = []
    sign = 1.0 if row.direction == "max" else -1.0
    winner: Floats = np.empty(0)
    highest = -np.inf
    for place, prediction in enumerate(predictions):
        array = None if prediction is None else _finite(prediction, truth)
        if array is None:
            continue
        places.append(place)
        kept.append(array if row.per_row is None else _mean_per_row(row.per_row, truth, array))
        scores = (
            [row.function(truth, training) for training in array]
            if row.per_row is None
            else kept[-1]
        )
        score = sign * float(np.mean(scores))
        if score > highest or not winner.size:
            # The only predictions that are needed again; of several trainings the first.
            winner, highest = array[0], score
    if not kept:
        raise DataError(
            "The best of no candidates: give at least one array of finite predictions (N, classes)."
        )
    if len(truth) < 2:
        raise DataError("A choice cannot be judged on the 1 row it was made on: give at least 2.")
    candidates: _Candidates
    candidates = _Scored(row, kept, truth) if row.per_row is None else _Averaged(kept)
    everything = candidates.scores(np.ones((len(truth), 1)))[:, 0]
    best = int(_best(sign * everything[:, None])[0])
    raw = float(everything[best])
    blocks = functools.partial(draw_counts, len(truth), resamples)
    drawn = None
    if row.per_row is None or method == "bbc-cv":
        drawn = np.concatenate(
            [candidates.scores(counts) for counts in blocks(np.random.default_rng(seed))], axis=1
        )
    epochs = np.ravel(np.asarray([] if other_epochs is None else other_epochs, dtype=np.float64))
    epochs = epochs[~np.isnan(epochs)]
    if method == "bbc-cv":
        assert drawn is not None
        judged = _judged(candidates, sign * drawn, blocks(np.random.default_rng(seed)))
        # Nothing that was chosen for its score is expected to be better than that.
        optimism = max(0.0, sign * (raw - judged))
    else:
        # Over N columns, a mean's deviations divided by the root of N have the variance that it
        # has over resamples: the infinitesimal jackknife.
        luck = (
            (np.stack(kept) - everything[:, None]) / math.sqrt(len(truth))
            if drawn is None
            else drawn - everything[:, None]
        )
        optimism = _optimism(row, everything, luck, epochs)
    value = float(np.clip(raw - sign * optimism, 0.0, row.largest))
    # Of having estimated how the candidates are spread: Morris (1983).
    estimated = 2.0 * optimism**2 / max(1, len(places) - 3)
    return CorrectedBest(
        metric=metric,
        raw=raw,
        corrected=metric_interval(
            row,
            truth,
            winner,
            None if drawn is None else drawn[best],
            value=value,
            added_variance=estimated,
        ),
        best=places[best],
        candidates=len(places),
        rows=len(truth),
        epochs=len(places) + len(epochs) if len(epochs) and len(places) > 1 else 0,
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


def _optimism(metric: Metric, scores: Floats, luck: Floats, others: Floats) -> float:
    """Return by how much the best score is too good, by empirical Bayes; nan if it is undefined.

    Args:
        metric: What scores are of.
        scores: (K,) on all rows.
        luck: (K, R) by how much they differ on resamples.
        others: (M,) scores of other epochs on all rows.
    """
    defined = ~np.isnan(scores)
    if not defined.any():
        return float("nan")
    sign = 1.0 if metric.direction == "min" else -1.0
    perfect = 0.0 if metric.direction == "min" else metric.largest
    errors, other_errors = (
        np.maximum(sign * (found - perfect), 0.0) for found in (scores[defined], others)
    )
    return optimism_of_best(errors, sign * luck[defined], other_errors)


def _judged(candidates: _Candidates, drawn: Floats, blocks: Iterable[Floats]) -> float:
    """Choose on each resample and judge on what it left out: the mean score; nan if undefined.

    Args:
        candidates: To choose from.
        drawn: (K, R) scores on the resamples, higher is better.
        blocks: Counts (N, r) of the same resamples, some at a time.
    """
    chosen, scores = _best(drawn), []
    for counts in blocks:
        some, chosen = np.split(chosen, [counts.shape[1]])
        scores.append(candidates.scores_of(some, (counts == 0).astype(np.float64)))
    judged = np.concatenate(scores)
    return float("nan") if np.isnan(judged).all() else float(np.nanmean(judged))


def _best(scores: Floats) -> Labels:
    """Return the first of the best candidates (R,) by scores (K, R); an undefined one is last."""
    return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=0)


STEPS = 30
"""Of the EM algorithm. Further ones would follow the noise of the scores."""
_POINTS = 200
# Candidates further from the best than this, in standard deviations, say nothing about it.
_FARTHEST = 20.0
# Errors closer than this, in standard deviations, count as equal: memory is bounded so.
_WIDTH = 1.0 / 32.0


def optimism_of_best(errors: Floats, luck: Floats, others: Floats | None = None) -> float:
    """Return by how much the least of several measured errors is expected to be too low.

    The candidates' true errors are taken for draws from one distribution, which is estimated from
    the errors measured, by EM from a uniform start; the result is the mean of the winner's true
    error given its measured one. A measured error is a sum of events of equal size, so many as a
    Poisson variable says: where it is small, so is its noise. The size is that which explains the
    variance of luck among the better half of the candidates; what they have in common decides
    nothing and is left out.

    As the winner's own error is weighed by what the others show, nothing is left of the bias of
    having been chosen if the distribution is right. It is estimated, however: where all candidates
    are alike, a fifth to a third of the bias stays.

    Sources: Efron (2011), "Tweedie's formula and selection bias"; Laird (1978), "Nonparametric
    maximum likelihood estimation of a mixing distribution", for the EM algorithm.

    Args:
        errors: (K,) measured, lower is better, none below 0.
        luck: (K, R) by how much they differ on R resamples of the rows.
        others: (M,) measured errors of further candidates with noise of the same size, such as
            other epochs of the same trainings; None if there are none. One that is below the least
            of `errors` counts as equal to it.

    Returns:
        The expected true error of the candidate with the least error, minus that; at least 0.
    """
    best = float(errors.min())
    event = _event_size(errors, luck)
    if event == 0.0:
        return 0.0
    everyone = errors if others is None else np.append(errors, np.maximum(others, best))
    # On the scale of roots the noise of all errors is the same: half the root of an event.
    noise = math.sqrt(event) / 2.0
    distances = np.rint((np.sqrt(everyone) - math.sqrt(best)) / (noise * _WIDTH))
    distances, counts = np.unique(distances[distances <= _FARTHEST / _WIDTH], return_counts=True)
    near = (math.sqrt(best) + distances * noise * _WIDTH) ** 2
    grid = np.linspace(math.sqrt(best), math.sqrt(near.max()), _POINTS) ** 2
    grid = np.maximum(grid, np.finfo(float).tiny)
    logs = (near[:, None] * np.log(grid) - grid) / event
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = np.full(_POINTS, 1.0 / _POINTS)
    for _ in range(STEPS):
        weights = np.average(_posterior(likelihood, weights), axis=0, weights=counts)
    expected = float(_posterior(likelihood[:1], weights)[0] @ grid)
    return max(0.0, expected - best)


def _event_size(errors: Floats, luck: Floats) -> float:
    """Return the variance of luck over the error, of the better half; 0 if there is none."""
    luck = luck[:, ~np.isnan(luck).any(axis=0)]
    better = errors <= np.median(errors)
    if better.sum() < 2:
        better[:] = True
    count = int(better.sum())
    mean = float(errors[better].mean())
    if count < 2 or luck.shape[1] < 2 or mean == 0.0:
        return 0.0
    apart = luck[better] - luck[better].mean(axis=0)
    return float(apart.var(axis=1).mean()) * count / (count - 1) / mean


def _posterior(likelihood: Floats, weights: Floats) -> Floats:
    joint = likelihood * weights
    return joint / joint.sum(axis=1, keepdims=True)
