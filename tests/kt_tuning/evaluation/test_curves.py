"""Curves and the confusion matrix, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kt_tuning.evaluation import METRICS
from kt_tuning.evaluation.diagnostics import MOST_POINTS, class_curves, confusion_matrix


def predictions(rows, classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=rows)
    probabilities = rng.dirichlet(np.ones(classes), size=rows)
    return labels, 0.7 * probabilities + 0.3 * np.eye(classes)[labels]


def test_confusion_rows_are_the_truth():
    found = confusion_matrix(np.array([0, 0, 1], dtype=np.uint8), np.eye(2)[[1, 1, 1]])
    np.testing.assert_array_equal(found, [[0, 2], [0, 1]])


def test_confusion_of_many_classes_in_small_integers():
    labels = np.arange(200, dtype=np.uint8)
    np.testing.assert_array_equal(confusion_matrix(labels, np.eye(200)), np.eye(200))


def test_a_roc_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    (curve,) = class_curves(np.array([1, 0, 1, 0]), np.stack([1 - scores, scores], axis=1))
    assert curve.label == 1
    steps = zip(curve.false_positive_rate, curve.true_positive_rate, strict=True)
    assert list(steps) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert curve.roc_auc == 0.75
    assert curve.recall[0] == 0.0
    assert curve.recall[-1] == 1.0
    assert curve.average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_areas_are_those_of_the_metrics():
    labels, probabilities = predictions(300, 4)
    curves = class_curves(labels, probabilities)
    for name, attribute in (("roc_auc", "roc_auc"), ("pr_auc", "average_precision")):
        mean = np.mean([getattr(curve, attribute) for curve in curves])
        assert mean == pytest.approx(METRICS[name].function(labels, probabilities), abs=1e-12)


def test_long_curves_are_thinned_and_keep_their_area():
    labels, probabilities = predictions(5000, 3)
    for curve in class_curves(labels, probabilities):
        truth, scores = labels == curve.label, probabilities[:, curve.label]
        x, y = curve.false_positive_rate, curve.true_positive_rate
        assert MOST_POINTS / 2 < len(x) == len(y) <= MOST_POINTS
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(truth, scores), abs=0.005)
        recall, precision = curve.recall, curve.precision
        area = np.trapezoid(precision, recall)
        assert area == pytest.approx(average_precision_score(truth, scores), abs=0.01)


def test_a_class_without_images_has_no_curve():
    labels, probabilities = predictions(50, 3)
    labels[labels == 1] = 0
    assert [curve.label for curve in class_curves(labels, probabilities)] == [0, 2]
