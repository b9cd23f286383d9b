"""Areas under the ROC and the precision-recall curve, exact under ties, for many resamples at once.

Both are one-vs-rest, averaged over the classes that have rows both of them and of others. With two
classes, column 1 alone decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.sums import sum_by_group

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Truths = NDArray[np.bool_]


def roc_auc(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Macro one-vs-rest area under the ROC.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        counts: (N, R) how often each row counts, in each of R resamples.

    Returns:
        (R,) in 0..1; nan where every counted row has the same label.
    """
    return _macro(_binary_roc_auc, labels, probabilities, counts)


def pr_auc(labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
    """Macro one-vs-rest average precision: the area under the precision-recall curve.

    The sum over thresholds of (recall_i - recall_{i-1}) precision_i, without interpolation, which
    would be optimistic (Davis and Goadrich 2006).

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        counts: (N, R) how often each row counts, in each of R resamples.

    Returns:
        (R,) in 0..1; nan where every counted row has the same label.
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
