"""The areas under the curves, where ties and absent classes make it hard."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kt_tuning.evaluation.metric_functions import pr_auc, roc_auc


def plain(labels, probabilities):
    return roc_auc(labels, probabilities, np.ones((len(labels), 1)))[0]


def two_columns(scores):
    return np.stack([1.0 - np.asarray(scores), scores], axis=1)


def test_by_hand():
    # Pairs (0.8, 0.5), (0.8, 0.1), (0.5, 0.1) are right, (0.5, 0.5) is half right: 3.5 of 4.
    labels = np.array([1, 1, 0, 0])
    assert plain(labels, two_columns([0.8, 0.5, 0.5, 0.1])) == 3.5 / 4


@pytest.mark.parametrize("levels", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_ties_agree_with_scikit_learn(levels, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(2, size=40)]
    scores = rng.integers(levels, size=42) / 10
    expected = roc_auc_score(labels, scores)
    assert plain(labels, two_columns(scores)) == pytest.approx(expected, abs=1e-12)


def test_every_order_of_five_rows():
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.4])
    for labels in itertools.product([0, 1], repeat=5):
        if 0 < sum(labels) < 5:
            got = plain(np.array(labels), two_columns(scores))
            assert got == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_two_classes_saturated_in_column_0_are_ranked_by_column_1():
    probabilities = np.array([[1.0, 1e-9], [1.0, 1e-8]], dtype=np.float32)
    assert plain(np.array([0, 1]), probabilities) == 1.0


def test_absent_class_is_left_out():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=50)
    probabilities = rng.dirichlet(np.ones(4), size=50)
    areas = [roc_auc_score(labels == label, probabilities[:, label]) for label in range(3)]
    assert plain(labels, probabilities) == pytest.approx(np.mean(areas), abs=1e-12)


def test_undefined_only_in_the_resample_that_lacks_a_class():
    counts = np.array([[1.0, 2.0], [1.0, 0.0]])
    got = roc_auc(np.array([0, 1]), two_columns([0.2, 0.7]), counts)
    np.testing.assert_array_equal(got, [1.0, np.nan])


def precise(labels, probabilities):
    return pr_auc(labels, probabilities, np.ones((len(labels), 1)))[0]


def test_average_precision_by_hand():
    # Precision at the two positives: 1/1 and 2/3.
    labels = np.array([1, 0, 1, 0])
    got = precise(labels, two_columns([0.9, 0.8, 0.7, 0.1]))
    assert got == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)


@pytest.mark.parametrize("levels", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_with_ties_agrees_with_scikit_learn(levels, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(2, size=40)]
    scores = rng.integers(levels, size=42) / 10
    expected = average_precision_score(labels, scores)
    assert precise(labels, two_columns(scores)) == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_every_order_of_five_rows():
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.4])
    for labels in itertools.product([0, 1], repeat=5):
        if 0 < sum(labels) < 5:
            got = precise(np.array(labels), two_columns(scores))
            assert got == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_average_precision_is_undefined_where_a_class_is_missing():
    counts = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]])
    got = pr_auc(np.array([0, 1]), two_columns([0.2, 0.7]), counts)
    np.testing.assert_array_equal(got, [1.0, np.nan, np.nan])
