"""Stacking: against scikit-learn where that can say the same, and as a minimum."""

import numpy as np
import pytest
from member_cases import make_members, softmax
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from kt_tuning.ensembling.problem import Problem
from kt_tuning.ensembling.solvers import stacked


def run(predictions, labels):
    return stacked(Problem(predictions, labels), np.random.default_rng(0))


def unknowns(combination):
    calibration = combination.calibrations[0]
    return np.array(combination.weights) * calibration.scales[0], np.array(calibration.shifts)


def test_two_classes_are_a_logistic_regression_on_the_differences_of_logarithms():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=4000)
    margins = rng.normal(size=(3, 4000)) * 1.5 + (labels - 0.5) * np.array([[1.0], [2.0], [3.0]])
    predictions = softmax(np.stack([np.zeros_like(margins), margins], axis=2))
    combination = run(predictions, labels)
    coefficients, intercepts = unknowns(combination)
    reference = LogisticRegression(C=1e4).fit(margins.T, labels)
    np.testing.assert_allclose(coefficients, reference.coef_[0], atol=0.01)
    assert intercepts[1] - intercepts[0] == pytest.approx(reference.intercept_[0], abs=0.01)
    np.testing.assert_allclose(
        combination.predict(predictions), reference.predict_proba(margins.T), atol=0.01
    )


def test_the_regularised_loss_is_least():
    predictions, labels = make_members([0.3, 1.0, 1.5], rows=60)
    coefficients, intercepts = unknowns(run(predictions, labels))
    rows = np.arange(60)

    def loss(a, b):
        logits = np.tensordot(a, np.log(predictions), axes=1) + b
        ridge = ((a - 1 / 3) ** 2).sum() + (b**2).sum()
        return -log_softmax(logits, axis=1)[rows, labels].mean() + ridge / 120

    best = loss(coefficients, intercepts)
    rng = np.random.default_rng(1)
    for size in (0.3, 0.03):
        for _ in range(50):
            near = np.maximum(0, coefficients + rng.normal(0, size, 3))
            assert best <= loss(near, intercepts + rng.normal(0, size, 4)) + 1e-7


def test_members_count_as_much_as_they_know():
    # Independent errors of equal size: each logarithm is evidence in proportion to its skill.
    predictions, labels = make_members([1.0, 1.0, 0.0], rows=6000)
    coefficients, _ = unknowns(run(predictions, labels))
    np.testing.assert_allclose(coefficients, [1.0, 1.0, 0.0], atol=0.1)


def test_a_prior_that_has_shifted_is_found():
    predictions, labels = make_members([1.5, 1.5], rows=4000)
    kept = (labels != 2) | (np.random.default_rng(0).random(4000) < 0.2)
    _, intercepts = unknowns(run(predictions[:, kept], labels[kept]))
    assert intercepts[2] - np.delete(intercepts, 2).mean() == pytest.approx(np.log(0.2), abs=0.2)


def test_members_that_know_nothing_leave_the_common_classes():
    labels = np.repeat([0, 1], [30, 10])
    predictions = softmax(np.random.default_rng(0).normal(size=(2, 40, 2)) * 1e-9)
    found = run(predictions, labels).predict(predictions)
    np.testing.assert_allclose(found, np.tile([0.75, 0.25], (40, 1)), atol=0.02)


def test_misleading_members_get_no_negative_weight():
    predictions, labels = make_members([2.0], rows=300)
    wrong = predictions[:, :, [1, 2, 3, 0]]
    combination = run(np.concatenate([predictions, wrong]), labels)
    assert combination.weights == (1.0, 0.0)
