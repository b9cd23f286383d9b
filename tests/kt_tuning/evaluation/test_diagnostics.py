"""Curves, reliability and worst mistakes."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import METRICS, measure_reliability
from kt_tuning.evaluation.diagnostics import (
    MOST_POINTS,
    Mistake,
    Reliability,
    class_curves,
    confusion_matrix,
    worst_mistakes,
)


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
        assert trapezoid(y, x) == pytest.approx(roc_auc_score(truth, scores), abs=0.005)
        recall, precision = curve.recall, curve.precision
        area = trapezoid(precision, recall)
        assert area == pytest.approx(average_precision_score(truth, scores), abs=0.01)


def test_a_class_without_images_has_no_curve():
    labels, probabilities = predictions(50, 3)
    labels[labels == 1] = 0
    assert [curve.label for curve in class_curves(labels, probabilities)] == [0, 2]


# Confidence 0.6 right, 0.6 wrong, 0.9 right, 0.9 right, 1.0 wrong.
CONFIDENCE = np.array([0.6, 0.6, 0.9, 0.9, 1.0])
PROBABILITIES = np.stack([CONFIDENCE, 1 - CONFIDENCE], axis=1)
LABELS = np.array([0, 1, 0, 0, 1])


def make_predictions(rows):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=rows)
    return probabilities, (probabilities.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)


def test_bins_by_hand():
    found = measure_reliability(LABELS, PROBABILITIES, bins=5)
    assert found.count == (0, 0, 2, 0, 3)
    np.testing.assert_allclose(found.confidence, [0, 0, 0.6, 0, 2.8 / 3])
    np.testing.assert_allclose(found.accuracy, [0, 0, 0.5, 0, 2 / 3])
    np.testing.assert_allclose(found.low, [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(found.high, [0.2, 0.4, 0.6, 0.8, 1])


def test_errors_by_hand():
    found = measure_reliability(LABELS, PROBABILITIES, bins=5)
    assert found.expected_error == pytest.approx(0.4 * 0.1 + 0.6 * 0.8 / 3)
    assert found.largest_error == pytest.approx(0.8 / 3)


def test_upper_ends_belong_to_a_bin():
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [0.7500001, 0.2499999]])
    found = measure_reliability([0, 0, 0], probabilities, bins=4)
    assert found.count == (0, 1, 1, 1)


def test_agrees_with_scikit_learn():
    predictions, labels = make_predictions(2000)
    found = measure_reliability(labels, predictions, bins=10)
    right = predictions.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, predictions.max(axis=1), n_bins=10)
    present = np.array(found.count) > 0
    np.testing.assert_allclose(np.array(found.accuracy)[present], accuracy)
    np.testing.assert_allclose(np.array(found.confidence)[present], confidence)


def test_equal_confidences_stay_together():
    probabilities = np.tile([0.7, 0.3], (20, 1))
    found = measure_reliability([0] * 14 + [1] * 6, probabilities, bins=4)
    assert sorted(found.count)[-1] == 20
    assert found.expected_error == pytest.approx(0, abs=1e-12)


def test_the_order_of_rows_makes_no_difference():
    predictions, labels = make_predictions(300)
    probabilities = np.round(predictions, 1)
    order = np.random.default_rng(0).permutation(300)
    first = measure_reliability(labels, probabilities)
    again = measure_reliability(labels[order], probabilities[order])
    assert first.count == again.count
    assert first.expected_error == pytest.approx(again.expected_error, abs=1e-12)


def test_a_certain_row_in_one_class():
    found = measure_reliability([0, 0], np.ones((2, 1)), bins=3)
    assert (found.count, found.expected_error) == ((0, 0, 2), 0.0)


def test_calibrated_predictions_have_little_error():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=20_000)
    labels = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert measure_reliability(labels, probabilities).expected_error < 0.02
    assert measure_reliability((labels + 1) % 3, probabilities).expected_error > 0.3


def test_round_trip(tmp_path):
    found = measure_reliability(LABELS, PROBABILITIES)
    found.save(tmp_path / "reliability.json")
    assert Reliability.load(tmp_path / "reliability.json") == found


def test_bad_input():
    with pytest.raises(OptionError, match="Received: 0"):
        measure_reliability(LABELS, PROBABILITIES, bins=0)
    with pytest.raises(DataError, match=r"\(4,\)"):
        measure_reliability(LABELS[:4], PROBABILITIES)


MISTAKEN_LABELS = np.array([0, 1, 2, 0, 1])
MISTAKEN_PROBABILITIES = np.array(
    [
        [0.1, 0.6, 0.3],  # wrong, p of truth 0.1
        [0.2, 0.7, 0.1],  # right
        [0.5, 0.4, 0.1],  # wrong, as bad as the first, less confident
        [0.2, 0.1, 0.7],  # wrong, p of truth 0.2
        [0.0, 0.9, 0.1],  # right
    ]
)


def test_the_worst_first_and_only_mistakes():
    assert [
        mistake.index for mistake in worst_mistakes(MISTAKEN_LABELS, MISTAKEN_PROBABILITIES)
    ] == [0, 2, 3]


def test_what_is_known_of_one():
    (worst,) = worst_mistakes(MISTAKEN_LABELS, MISTAKEN_PROBABILITIES, count=1)
    assert worst == Mistake(index=0, label=0, predicted=1, confidence=0.6, loss=-np.log(0.1))


def test_none():
    assert worst_mistakes(np.array([0, 1]), np.eye(2)) == ()
