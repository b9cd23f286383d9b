"""The functions behind `METRICS`.

Those of rows, (labels (N,), probabilities (N, C)) -> (N,), return one number per row, to average.
Those of counts measure many bootstrap resamples at once: (labels, probabilities, counts (N, R)),
how often each row counts in each of R resamples, -> (R,), nan where the metric is undefined. With
two classes, column 1 alone decides an area under a curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Truths = NDArray[np.bool_]

EPSILON = 1e-7
"""Smallest probability that a logarithm is taken of: one wrong row costs 16.1 nats at most."""


def correct(labels: Labels, probabilities: Floats) -> Floats:
    """Return 1 where the most probable class is the truth, the first one of equals."""
    return (probabilities.argmax(axis=1) == labels).astype(np.float64)


def among_top(labels: Labels, probabilities: Floats, k: int) -> Floats:
    """Return 1 where fewer than `k` classes are ahead of the truth.

    Of equally probable classes the first is ahead, as in `correct`: among the top 1 is correct.
    """
    of_truth = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    ahead = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    return (ahead.sum(axis=1) < k).astype(np.float64)


def log_losses(labels: Labels, probabilities: Floats) -> Floats:
    """Return -log p of the truth, in nats."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(of_truth, EPSILON, 1.0))


def squared_errors(labels: Labels, probabilities: Floats) -> Floats:
    """Return the sum over classes of (p_c - [c is the truth])^2.

    Source: Brier (1950), the multi-class original.
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1.0
    return np.einsum("nc,nc->n", errors, errors)


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


def roc_auc(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Area under the ROC, one-vs-rest, averaged over the classes with rows of it and of others."""
    return _macro(_binary_roc_auc, labels, probabilities, counts)


def pr_auc(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Average precision, one-vs-rest, averaged over the classes with rows of it and of others.

    The sum over thresholds of (recall_i - recall_{i-1}) precision_i, without interpolation, which
    would be optimistic (Davis and Goadrich 2006).
    """
    return _macro(_average_precision, labels, probabilities, counts)


def _macro(
    area: Callable[[Truths, Floats, Floats], Floats],
    labels: Labels,
    probabilities: Floats,
    counts: Floats,
) -> Floats:
    """Average an area over the classes where it is defined."""
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    total = np.zeros(counts.shape[1])
    defined = np.zeros(counts.shape[1])
    for label in classes:
        found = area(labels == label, probabilities[:, label], counts)
        total += np.nan_to_num(found)
        defined += ~np.isnan(found)
    return np.divide(total, defined, out=np.full(len(total), np.nan), where=defined > 0)


def _binary_roc_auc(positive: Truths, scores: Floats, counts: Floats) -> Floats:
    """Mann-Whitney: the share of (positive, negative) pairs ranked right, a tie counting half.

    With W the positives' total, B_i what counts below row i's score and T_i what ties with it,
    sum over positives of w_i (B_i + T_i / 2) counts the pairs, and W^2 / 2 of positives with
    positives besides.
    """
    run, runs = _runs(positive, scores, join_positives=True)
    positives = sum_by_group(run[positive], runs, counts[positive])
    everyone = sum_by_group(run, runs, counts)
    middle = np.cumsum(everyone, axis=0) - everyone / 2.0
    total = positives.sum(axis=0)
    right = np.einsum("gr,gr->r", positives, middle) - total**2 / 2.0
    pairs = total * (everyone.sum(axis=0) - total)
    return np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _average_precision(positive: Truths, scores: Floats, counts: Floats) -> Floats:
    """The precision at each score, averaged over the positives that have it."""
    run, runs = _runs(positive, -scores, join_positives=False)
    positives = sum_by_group(run[positive], runs, counts[positive])
    everyone = sum_by_group(run, runs, counts)
    total = positives.sum(axis=0)
    defined = (total > 0) & (total < everyone.sum(axis=0))
    np.cumsum(everyone, axis=0, out=everyone)
    precision = np.cumsum(positives, axis=0)
    np.divide(precision, everyone, out=precision, where=everyone > 0)
    area = np.einsum("gr,gr->r", positives, precision)
    return np.divide(area, total, out=np.full(len(total), np.nan), where=defined)


def _runs(positive: Truths, scores: Floats, *, join_positives: bool) -> tuple[Labels, int]:
    """Number the rows by rising score, neighbouring negatives sharing a number.

    No pair of a positive and a negative lies inside such a run, and no positive's precision, so
    the areas are the same, from far fewer rows than N when positives are rare.

    Args:
        positive: (N,).
        scores: (N,); rows of equal score always share a number.
        join_positives: Whether neighbouring positives share one, too.
    """
    _, level = np.unique(scores, return_inverse=True)
    has_positive = np.bincount(level, positive) > 0
    has_negative = np.bincount(level, ~positive) > 0
    only_negative = ~has_positive
    goes_on = only_negative[1:] & only_negative[:-1]
    if join_positives:
        only_positive = ~has_negative
        goes_on |= only_positive[1:] & only_positive[:-1]
    number = np.concatenate([[0], np.cumsum(~goes_on)])
    return number[level], int(number[-1]) + 1


def sum_by_group(groups: Labels, size: int, counts: Floats) -> Floats:
    """Add up the rows of each group: `numpy.bincount` for every column of counts.

    It is a sparse product: 1,000 columns of 10,000 rows take 10 ms, and 100 ms by `bincount`.

    Args:
        groups: (N,) integers in 0..size-1.
        size: Number of groups.
        counts: (N, R).

    Returns:
        (size, R).
    """
    from scipy.sparse import csc_array

    rows = len(groups)
    indicator = csc_array((np.ones(rows), groups, np.arange(rows + 1)), shape=(size, rows))
    return indicator @ counts
