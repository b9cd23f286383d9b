"""Selection bias: the best of K validation scores, corrected for the selection.

Of several scores on the same rows the best is too good, as the candidate was chosen for its luck,
too. `benchmarks/winners_curse.py` measures the correction on trained networks,
`benchmarks/coverage.py` where the truth is known.

Sources: Efron (2011), "Tweedie's formula and selection bias"; Morris (1983), "Parametric empirical
Bayes inference: theory and applications"; Laird (1978), "Nonparametric maximum likelihood
estimation of a mixing distribution", for the EM algorithm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import count
from kt_tuning.evaluation.intervals import Interval, draw_counts, metric_interval
from kt_tuning.evaluation.metrics import check_labels, find_metric, metric_of
from kt_tuning.run import Run

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

EPOCH_CAVEAT = (
    "each best epoch was chosen on the same images, which is not corrected and typically adds 1.4 "
    "to 2.4 points of accuracy"
)
"""Shown with every score that is still optimistic after a correction or cross-fitting."""

RESAMPLES_OF_RUN = 100
"""Resamples of `corrected_best_of_run`."""
STEPS = 30
"""Of the EM algorithm. Further ones would follow the noise of the scores."""
_POINTS = 200
# Candidates further from the best than this, in standard deviations, say nothing about it.
_FARTHEST = 20.0
# Errors closer than this, in standard deviations, count as equal: memory is bounded so.
_WIDTH = 1.0 / 32.0


@dataclasses.dataclass(frozen=True)
class CorrectedBest(Record):
    """The best validation score, raw and corrected.

    Attributes:
        metric: Name in `METRICS`.
        raw: The best measured score, which is optimistic.
        corrected: Expected score on new images of a model that is chosen in this way, with its
            95% interval; never better than `raw`.
        best: Its position among the predictions; for a run, the number of the trial.
        candidates: Number of models from which it was chosen.
        rows: Number of images by which it was chosen.
        best_epochs: Whether each candidate is the best epoch of a training, chosen by the same
            images, and this choice is not corrected: `corrected` is then still optimistic.
        epochs: Number of epochs of all candidates, if the choice among them is corrected, too;
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

    @property
    def optimism(self) -> float:
        """By how much the raw score is too good; not below 0."""
        difference = self.raw - self.corrected.value
        return difference if find_metric(self.metric).direction == "max" else -difference

    def __repr__(self) -> str:
        return f"CorrectedBest({self})"

    def __str__(self) -> str:
        epochs = f" with {self.epochs:,} epochs" if self.epochs else ""
        return (
            f"{self.metric} {self.raw:.4f}, the best of {count(self.candidates, 'candidate')}"
            f"{epochs} on {self.rows:,} images; {self.corrected.value:.4f} after correction for "
            f"this selection (95% interval {self.corrected.limits})"
            + (f"; {EPOCH_CAVEAT}" if self.best_epochs else "")
        )


def corrected_best(
    predictions: Iterable[ArrayLike | None],
    labels: ArrayLike,
    metric: str = "accuracy",
    *,
    other_epochs: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> CorrectedBest:
    """Correct the best of K scores on the same rows for its selection.

    The candidates' true scores are estimated from all of them together by empirical Bayes, see
    `optimism_of_best`: the best one is moved towards the others by as much as luck could have set
    them apart.

    If each candidate is a training's best epoch, and that epoch was chosen on the same rows, give
    the scores of the other epochs: they are candidates, too. The size of their noise is taken from
    the predictions of the K best ones. Otherwise that choice is not corrected, nor can it be with a
    single training.

    The interval is that of a model which has the corrected score on as many rows, see
    `bootstrap_intervals`, and a little wider, as the correction is an estimate, too. Of many
    candidates that err independently it is wider than it need be.

    A metric that is a mean over rows (accuracy, log-loss, Brier, top-k) needs no resamples, as the
    variance of a mean is known. Of 200 candidates, 10,000 rows and 1,000 resamples, macro-averages
    take ten seconds, areas under curves two minutes: give fewer there.

    Args:
        predictions: K arrays (N, C) of probabilities, in the order in which equals are preferred;
            None for one that has none. One with a nan or infinite value cannot win. An array
            (E, N, C) is a candidate that was trained E times: its score is the mean over them.
        labels: (N,) integers in 0..C-1.
        metric: Name in `METRICS` by which the best was chosen.
        other_epochs: (M,) the metric on the same rows after all other epochs of all candidates;
            nan after one that diverged. None if the candidates are no best epochs, or the scores
            are not known.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.

    Raises:
        OptionError: on an unknown metric, or fewer than 1 resample.
        DataError: if no candidate has finite predictions, shapes and labels do not fit, or there
            are fewer than 2 rows.
    """
    row = find_metric(metric)
    if resamples < 1:
        raise OptionError(f"resamples should be 1 or more. Received: {resamples}.")
    truth = np.asarray(labels)
    sign = 1.0 if row.direction == "max" else -1.0
    places: list[int] = []
    kept: list[Floats] = []
    measured: list[float] = []
    best, winner = 0, np.empty(0)
    for place, prediction in enumerate(predictions):
        array = None if prediction is None else _finite(prediction, truth)
        if array is None:
            continue
        places.append(place)
        if row.per_row is None:
            kept.append(array)
            measured.append(float(np.mean([row.function(truth, one) for one in array])))
        else:
            kept.append(np.mean([row.per_row(truth, one) for one in array], axis=0))
            measured.append(float(kept[-1].mean()))
        # Only the best one's predictions are needed again; of several trainings the first.
        if not winner.size or sign * measured[-1] > sign * measured[best]:
            best, winner = len(measured) - 1, array[0]
    if not kept:
        raise DataError(
            "Expected at least one array (N, classes) of finite predictions. Received: none."
        )
    if len(truth) < 2:
        raise DataError(f"Expected 2 rows or more. Received: {count(len(truth), 'row')}.")
    scores = np.array(measured)
    drawn = None
    if row.per_row is None:
        blocks = draw_counts(len(truth), resamples, np.random.default_rng(seed))
        drawn = np.concatenate(
            [
                [
                    np.mean([row.counted(truth, one, counts) for one in array], axis=0)
                    for array in kept
                ]
                for counts in blocks
            ],
            axis=1,
        )
        luck = drawn - scores[:, None]
    else:
        # Over N columns, a mean's deviations divided by the root of N have the variance that it
        # has over resamples: the infinitesimal jackknife.
        luck = (np.stack(kept) - scores[:, None]) / math.sqrt(len(truth))
    epochs = np.ravel(np.asarray([] if other_epochs is None else other_epochs, dtype=np.float64))
    epochs = epochs[~np.isnan(epochs)]
    perfect = row.largest if row.direction == "max" else 0.0
    errors, other_errors = (np.maximum(sign * (perfect - found), 0.0) for found in (scores, epochs))
    defined = ~np.isnan(scores)
    optimism = math.nan
    if defined.any():
        optimism = optimism_of_best(errors[defined], -sign * luck[defined], other_errors)
    # The variance of having estimated how the candidates are spread: Morris (1983).
    estimated = 2.0 * optimism**2 / max(1, len(places) - 3)
    return CorrectedBest(
        metric=metric,
        raw=measured[best],
        corrected=metric_interval(
            row,
            truth,
            winner,
            None if drawn is None else drawn[best],
            value=float(np.clip(measured[best] - sign * optimism, 0.0, row.largest)),
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


def corrected_best_of_run(directory: str | Path) -> CorrectedBest | None:
    """Correct the best validation score of a search for selection bias; see `corrected_best`.

    The choice of the best epoch of each trial is corrected, too, using the objective after the
    other epochs in `history.csv`; but not with folds, several executions of a trial, or a single
    trial. The result says so.

    Every trial with a score is a candidate, including pruned ones. A trial with several executions
    is one candidate, whose score is their mean. With folds the rows are the out-of-fold ones;
    trials that were pruned before the last fold are left out. Trials are read one by one: memory
    does not grow with their number if the objective is a mean over rows.

    Args:
        directory: The run directory.

    Returns:
        The correction; `best` is the number of the trial. None if no trial has predictions on
        labelled images, or the objective is not in `METRICS`.

    Raises:
        StorageError: if the directory contains no search, or one of its files is damaged.
    """
    run = Run(directory)
    search, split = run.read_search(), run.split()
    metric = metric_of(search.objective)
    labels = None if split is None else split.predicted_labels
    if metric is None or labels is None or len(labels) < 2:
        return None
    found = [
        trial
        for trial in run.trials()
        if trial.usable and run.predicted_rows(trial.trial_id) == len(labels)
    ]
    if not found:
        return None
    executions = ((trial.trial_id, run.executions(trial.trial_id)) for trial in found)
    single = search.folds == search.executions == 1
    corrected = corrected_best(
        (run.predictions(name) if several is None else several for name, several in executions),
        labels,
        metric,
        other_epochs=_other_epochs(run, found, search.objective) if single else None,
        resamples=RESAMPLES_OF_RUN,
    )
    return dataclasses.replace(
        corrected,
        best=found[corrected.best].number,
        best_epochs=corrected.epochs == 0 and any(trial.epochs > 1 for trial in found),
    )


def _other_epochs(run: Run, trials: Sequence[TrialRecord], objective: str) -> list[float]:
    """Return the objective after each epoch that is not the best one of its trial."""
    found: list[float] = []
    for trial in trials:
        history = run.history(trial.trial_id)
        if objective in history:
            values = history[objective][history["epoch"] != trial.best_epoch]
            found += values[~np.isnan(values)].tolist()
    return found
