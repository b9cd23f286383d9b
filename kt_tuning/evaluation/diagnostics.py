"""Diagnostics of a classifier: confusion matrix, curves, reliability, worst mistakes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.metric_functions import log_losses
from kt_tuning.evaluation.metrics import check_labels

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

BINS = 15
"""As in Guo et al. (2017)."""
MOST_POINTS = 200
"""Points of a curve that are kept: more than a screen can show."""


@dataclasses.dataclass(frozen=True)
class ClassCurves:
    """One class against all others, over all thresholds.

    Attributes:
        label: The class.
        false_positive_rate: (P,) rising from 0 to 1: x of the ROC.
        true_positive_rate: (P,) rising from 0 to 1: y of the ROC.
        roc_auc: Area under it, of all points, not only of those kept.
        recall: (Q,) rising from 0 to 1: x of the precision-recall curve.
        precision: (Q,) y of that curve.
        average_precision: Area under it, as a step function.
    """

    label: int
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    roc_auc: float
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    average_precision: float


def class_curves(labels: Labels, probabilities: Floats) -> tuple[ClassCurves, ...]:
    """Return the curves of every class that has images both of it and of others.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C). With two classes, only class 1 is drawn: class 0 is its mirror.
    """
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    present = [label for label in classes if 0 < (labels == label).sum() < len(labels)]
    return tuple(_curves(label, labels == label, probabilities[:, label]) for label in present)


def _curves(label: int, positive: NDArray[np.bool_], scores: Floats) -> ClassCurves:
    from sklearn import metrics

    false_positive, true_positive, _ = metrics.roc_curve(positive, scores)
    # From the highest recall down, ending in an artificial point (0, 1).
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    return ClassCurves(
        label,
        *_thinned(false_positive, true_positive),
        float(metrics.auc(false_positive, true_positive)),
        *_thinned(recall[::-1], precision[::-1]),
        float(metrics.average_precision_score(positive, scores)),
    )


def _thinned(x: Floats, y: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Keep `MOST_POINTS` points, evenly spread along the curve, and both ends."""
    if len(x) > MOST_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        wanted = np.linspace(0.0, length[-1], MOST_POINTS)
        kept = np.unique(np.searchsorted(length, wanted).clip(max=len(x) - 1))
        x, y = x[kept], y[kept]
    return tuple(x.round(6).tolist()), tuple(y.round(6).tolist())


def confusion_matrix(labels: Labels, probabilities: Floats) -> NDArray[np.int64]:
    """Count (truth, prediction) pairs: (C, C), rows are the truth."""
    classes = probabilities.shape[1]
    # int64 first: a product of small labels would overflow their own uint8.
    cells = labels.astype(np.int64) * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


@dataclasses.dataclass(frozen=True)
class Reliability(Record):
    """The data of a reliability diagram: predictions binned by their confidence.

    Attributes:
        low: (B,) lower end of each bin, which it does not include (but 0 it does).
        high: (B,) upper end, which it includes.
        count: (B,) rows in it, 0 in some.
        confidence: (B,) mean probability of the predicted class; 0 in an empty bin.
        accuracy: (B,) share of rows predicted right; 0 in an empty bin.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def expected_error(self) -> float:
        """Expected calibration error, 0 to 1: the mean of |accuracy - confidence| over the rows."""
        return float(np.average(self._gaps, weights=self.count))

    @property
    def largest_error(self) -> float:
        """Maximum calibration error, 0 to 1: the largest |accuracy - confidence| of a bin."""
        return float(self._gaps.max())

    @property
    def _gaps(self) -> Floats:
        return np.abs(np.subtract(self.accuracy, self.confidence))


def measure_reliability(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS
) -> Reliability:
    """Put predictions into bins of equal width by confidence.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C), rows summing to 1.
        bins: Number of bins, at least 1.

    Raises:
        OptionError: if there are fewer than 1 bins.
        DataError: if labels and probabilities do not belong together.

    Sources: Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using
    Bayesian binning"; Guo et al. (2017), "On calibration of modern neural networks".
    """
    if bins < 1:
        raise OptionError(f"bins should be 1 or more. Received: {bins}.")
    truth, predictions = np.asarray(labels), np.asarray(probabilities)
    check_labels(truth, predictions)
    confidence = predictions.max(axis=1).astype(np.float64)
    right = (predictions.argmax(axis=1) == truth).astype(np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A float32 softmax may end a hair above 1.
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    present = np.maximum(count, 1)
    means = [
        np.bincount(bin_of, weights=values, minlength=bins) / present
        for values in (confidence, right)
    ]
    return Reliability(
        low=tuple(edges[:-1].tolist()),
        high=tuple(edges[1:].tolist()),
        count=tuple(count.tolist()),
        confidence=tuple(means[0].tolist()),
        accuracy=tuple(means[1].tolist()),
    )


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A misclassified image.

    Attributes:
        index: Its place in the split.
        label: The true class.
        predicted: The predicted class.
        confidence: Probability of the predicted class, 0 to 1.
        loss: -log of the probability of the truth, in nats.
    """

    index: int
    label: int
    predicted: int
    confidence: float
    loss: float


def worst_mistakes(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    count: int = 16,
) -> tuple[Mistake, ...]:
    """Return the wrongly classified images of highest log-loss, the worst first.

    A mislabelled image is often among them.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        count: Mistakes, at most.
    """
    predicted = probabilities.argmax(axis=1)
    losses = log_losses(labels, probabilities)
    wrong = np.flatnonzero(predicted != labels)
    # Of equal losses the more confident mistake is the worse one.
    order = np.lexsort((-probabilities[wrong, predicted[wrong]], -losses[wrong]))
    return tuple(
        Mistake(
            index=int(index),
            label=int(labels[index]),
            predicted=int(predicted[index]),
            confidence=float(probabilities[index, predicted[index]]),
            loss=float(losses[index]),
        )
        for index in wrong[order[:count]]
    )
