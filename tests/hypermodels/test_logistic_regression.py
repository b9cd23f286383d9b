"""Logistic regression: the same minimum as scikit-learn's, and a penalty by cross-validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hypermodels.logistic_regression import (
    PENALTIES,
    LogisticPath,
    choose_penalty,
    log_losses,
    standardize,
)


def clusters(rows, width, classes, seed=0, spread=1.5):
    """Features whose first columns tell the classes apart, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    features = spread * rng.normal(size=(rows, width))
    features[:, :classes] += 2 * np.eye(classes)[labels]
    return standardize(features)[0], labels


@pytest.mark.parametrize(("rows", "width", "classes"), [(60, 20, 3), (30, 80, 2), (200, 5, 5)])
@pytest.mark.parametrize("penalty", [10.0, 0.1, 0.003])
def test_the_minimum_is_that_of_scikit_learn(rows, width, classes, penalty):
    features, labels = clusters(rows, width, classes)
    kernel, bias = LogisticPath(features, labels, classes).fit(penalty)
    peer = LogisticRegression(C=1 / (penalty * rows), tol=1e-10, max_iter=10_000)
    peer.fit(features, labels)
    found = log_losses(features @ kernel + bias, labels).mean() + penalty / 2 * (kernel**2).sum()
    if classes == 2:
        # One vector of weights, which is the difference of two half as long ones.
        halves = np.concatenate([-peer.coef_, peer.coef_]).T / 2
        offsets = np.concatenate([-peer.intercept_, peer.intercept_]) / 2
    else:
        halves, offsets = peer.coef_.T, peer.intercept_
    known = log_losses(features @ halves + offsets, labels).mean()
    assert found <= known + penalty / 2 * (halves**2).sum() + 1e-5


def test_weights_count_rows_as_often():
    features, labels = clusters(40, 6, 2)
    weights = np.where(np.arange(40) < 10, 3.0, 1.0)
    repeated = np.repeat(np.arange(40), weights.astype(int))
    kernel, bias = LogisticPath(features, labels, 2, weights).fit(0.05)
    again, offset = LogisticPath(features[repeated], labels[repeated], 2).fit(0.05)
    assert kernel == pytest.approx(again, abs=2e-3)
    assert bias == pytest.approx(offset, abs=2e-3)


def test_a_path_ends_where_a_fresh_start_does():
    features, labels = clusters(80, 30, 4)
    path = LogisticPath(features, labels, 4)
    for penalty in (10.0, 1.0, 0.1):
        kernel, _ = path.fit(penalty)
    assert kernel == pytest.approx(LogisticPath(features, labels, 4).fit(0.1)[0], abs=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_penalty_is_as_good_on_fresh_rows_as_the_best_of_a_grid(seed):
    features, labels = clusters(1500, 60, 4, seed)
    train, fresh = slice(0, 150), slice(150, None)

    def loss(penalty):
        kernel, bias = LogisticPath(features[train], labels[train], 4).fit(penalty)
        return log_losses(features[fresh] @ kernel + bias, labels[fresh]).mean()

    choice = choose_penalty(features[train], labels[train], 4)
    assert PENALTIES[-1] < choice.penalty < PENALTIES[0]
    assert loss(choice.penalty) <= min(map(loss, PENALTIES[::2])) * 1.03


def test_useless_features_are_shrunk_away():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(100, 40)), rng.integers(0, 2, 100)
    choice = choose_penalty(features, labels, 2)
    assert choice.penalty > 0.5
    assert len(choice.losses) < len(PENALTIES)


def test_features_that_are_constant_stay_so():
    values, means, deviations = standardize(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert values.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert (means.tolist(), deviations.tolist()) == ([2.0, 5.0], [1.0, 1.0])


def test_rows_that_are_all_alike_do_not_divide_by_zero():
    kernel, bias = LogisticPath(np.zeros((10, 3)), np.arange(10) % 2, 2).fit(1.0)
    assert np.abs(kernel).max() == 0
    assert bias[0] == pytest.approx(bias[1], abs=1e-4)


def test_a_weak_penalty_is_solved_for_from_a_cold_start():
    features, labels = clusters(60, 300, 3)
    penalty = 1e-5
    kernel, bias = LogisticPath(features, labels, 3).fit(penalty)
    peer = LogisticRegression(C=1 / (penalty * 60), tol=1e-10, max_iter=10_000)
    peer.fit(features, labels)
    found = log_losses(features @ kernel + bias, labels).mean() + penalty / 2 * (kernel**2).sum()
    known = log_losses(features @ peer.coef_.T + peer.intercept_, labels).mean()
    assert found <= 1.02 * (known + penalty / 2 * (peer.coef_**2).sum())
