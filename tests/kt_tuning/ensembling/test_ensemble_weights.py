"""The solvers as a family, and those of a line or two by hand."""

import importlib.util

import numpy as np
import pytest
from member_cases import CLASSES, make_members, of_truth
from sklearn.metrics import log_loss

from kt_tuning.ensembling import SOLVERS
from kt_tuning.ensembling.convex import convex_weights
from kt_tuning.ensembling.problem import Problem
from kt_tuning.evaluation import METRICS

INSTALLED = [name for name in SOLVERS if name != "cmaes" or importlib.util.find_spec("cmaes")]
TAKE_A_METRIC = [name for name in INSTALLED if name not in ("mean", "convex", "stack")]


def run(name, predictions, labels, seed=0, metric="log_loss"):
    return SOLVERS[name](Problem(predictions, labels, metric), np.random.default_rng(seed))


def loss(combination, predictions, labels):
    return log_loss(labels, combination.predict(predictions), labels=range(CLASSES))


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_weights_are_on_the_simplex(name, count):
    weights = run(name, *make_members(np.linspace(0, 2, count), rows=100)).weights
    assert len(weights) == count
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", INSTALLED)
def test_same_seed_same_result(name):
    predictions, labels = make_members([1.0, 1.5, 2.0, 0.5], rows=100)
    assert run(name, predictions, labels, 3) == run(name, predictions, labels, 3)


@pytest.mark.parametrize("name", INSTALLED)
def test_input_is_left_alone(name):
    predictions, labels = make_members([1.0, 1.5], rows=100)
    before = predictions.copy()
    run(name, predictions, labels)
    np.testing.assert_array_equal(predictions, before)


@pytest.mark.parametrize("name", [name for name in INSTALLED if name not in ("single", "mean")])
def test_members_that_err_independently_beat_the_best_of_them(name):
    predictions, labels = make_members([1.0, 1.0, 1.0, 1.0])
    singles = [log_loss(labels, member, labels=range(CLASSES)) for member in predictions]
    assert loss(run(name, predictions, labels), predictions, labels) < min(singles) - 0.02


@pytest.mark.parametrize("name", [name for name in INSTALLED if name not in ("single", "mean")])
def test_a_useless_member_hardly_counts(name):
    assert run(name, *make_members([2.0, 2.0, 0.0])).weights[2] < 0.1


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "stack"])
def test_no_weights_beat_convex_on_the_rows_it_was_fitted_on(name):
    predictions, labels = make_members([0.5, 1.0, 1.5, 2.0, 2.0])
    best = loss(run("convex", predictions, labels), predictions, labels)
    assert best <= loss(run(name, predictions, labels), predictions, labels) + 1e-9


@pytest.mark.parametrize("name", TAKE_A_METRIC)
@pytest.mark.parametrize("metric", ["accuracy", "f1", "brier"])
def test_the_metric_is_what_improves(name, metric):
    predictions, labels = make_members([0.0, 0.8, 1.2], rows=100)
    combination = run(name, predictions, labels, metric=metric)
    measure = METRICS[metric].function
    sign = 1 if METRICS[metric].direction == "max" else -1
    singles = [sign * measure(labels, member) for member in predictions]
    assert sign * measure(labels, combination.predict(predictions)) >= max(singles) - 1e-9
    if metric == "accuracy" and name != "single":
        fitted_to_loss = run(name, predictions, labels).predict(predictions)
        found = measure(labels, combination.predict(predictions))
        assert found >= measure(labels, fitted_to_loss)


def test_single_takes_the_least_log_loss():
    assert run("single", *make_members([1.0, 2.0, 1.5])).weights == (0, 1, 0)


def test_single_takes_the_best_of_any_metric():
    # Member 0 is right on two rows of three and sure of its error.
    predictions = np.array(
        [[[0.6, 0.4], [0.6, 0.4], [0.999, 0.001]], [[0.4, 0.6], [0.4, 0.6], [0.4, 0.6]]]
    )
    labels = np.array([0, 0, 1])
    assert run("single", predictions, labels).weights == (0, 1)
    assert run("single", predictions, labels, metric="accuracy").weights == (1, 0)


def test_mean():
    assert run("mean", *make_members([1.0, 2.0, 1.5, 0.0])).weights == (0.25,) * 4


def test_convex_is_the_certified_solution():
    predictions, labels = make_members([0.5, 1.0, 1.5])
    expected, gap = convex_weights(of_truth(predictions, labels))
    np.testing.assert_allclose(run("convex", predictions, labels).weights, expected, atol=1e-12)
    assert gap <= 1e-9
