"""Metrics that average over the classes, for many bootstrap resamples at once.

Each takes labels (N,), probabilities (N, C) and counts (N, R), how often each row counts in each
of R resamples, and returns (R,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.sums import sum_by_group

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def balanced_accuracy(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Recall, averaged over the classes that have rows."""
    hits, support, _ = _class_sums(labels, probabilities, counts)
    return _class_mean(hits, support, support > 0)


def precision(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Precision, averaged over the classes that have rows or are predicted."""
    hits, support, predicted = _class_sums(labels, probabilities, counts)
    return _class_mean(hits, predicted, support + predicted > 0)


def recall(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Recall, averaged over the classes that have rows or are predicted."""
    hits, support, predicted = _class_sums(labels, probabilities, counts)
    return _class_mean(hits, support, support + predicted > 0)


def f1(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """F1, averaged over the classes that have rows or are predicted."""
    hits, support, predicted = _class_sums(labels, probabilities, counts)
    return _class_mean(2.0 * hits, support + predicted, support + predicted > 0)


def _class_sums(
    labels: Labels, probabilities: Floats, counts: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return hits, rows of the class and rows predicted as it, each (C, R)."""
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    return (
        sum_by_group(labels[right], classes, counts[right]),
        sum_by_group(labels, classes, counts),
        sum_by_group(predicted, classes, counts),
    )


def _class_mean(numerator: Floats, denominator: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Average the ratios (C, R) over the counted classes; 0/0 is 0, as zero_division=0."""
    ratios = numerator / np.where(denominator > 0, denominator, 1.0)
    return (ratios * counted).sum(axis=0) / counted.sum(axis=0)
