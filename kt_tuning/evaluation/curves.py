"""Confusion matrix, ROC and precision-recall curves: what is drawn of a classifier."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

MOST_POINTS = 200
"""Points of a curve that are kept: more than a screen can show."""


@dataclasses.dataclass(frozen=True)
class ClassCurves:
    """How one class is told from all others, over all thresholds.

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

    def __post_init__(self) -> None:
        for name in ("false_positive_rate", "true_positive_rate", "recall", "precision"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


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


def confusion_matrix(labels: Labels, probabilities: Floats) -> Labels:
    """Count (truth, prediction) pairs: (C, C), rows are the truth."""
    classes = probabilities.shape[1]
    # int64 first: a product of small labels would overflow their own uint8.
    cells = labels.astype(np.int64) * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
