import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import Reliability, measure_reliability

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
