import numpy as np
import pytest
from member_cases import make_members
from sklearn.metrics import f1_score, log_loss

from kt_tuning.core.errors import DataError
from kt_tuning.ensembling.problem import Problem, check_predictions, mean_log

GOOD = np.full((2, 3, 2), 0.5)


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 100])
def test_mean_logarithm(columns):
    values = np.random.default_rng(0).uniform(1e-7, 60, (3, columns))
    np.testing.assert_allclose(mean_log(values), np.log(values).mean(axis=1), atol=1e-12)


@pytest.mark.parametrize("value", [1e-7, 100.0])
def test_products_of_the_extremes_stay_finite(value):
    found = mean_log(np.full((1, 64), value))
    assert found[0] == pytest.approx(np.log(value), abs=1e-12)


def test_cost_of_log_loss_and_of_a_metric_to_maximise():
    predictions, labels = make_members([1.0, 2.0])
    mixture = np.tensordot([0.3, 0.7], predictions, axes=1)
    weights = np.array([0.3, 0.7])
    assert Problem(predictions, labels).cost(weights) == pytest.approx(
        log_loss(labels, mixture, labels=range(4))
    )
    assert Problem(predictions, labels, "f1").cost(weights) == pytest.approx(
        -f1_score(labels, mixture.argmax(axis=1), average="macro")
    )


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_costs_of_many_weights_and_of_the_members(metric):
    predictions, labels = make_members([1.0, 2.0, 0.5], rows=50)
    problem = Problem(predictions, labels, metric)
    drawn = np.random.default_rng(0).dirichlet(
        np.ones(3), size=70_000 if metric == "log_loss" else 5
    )
    found = problem.costs(drawn)
    assert found.shape == (len(drawn),)
    assert found[-1] == pytest.approx(problem.cost(drawn[-1]), abs=1e-12)
    alone = [problem.cost(weights) for weights in np.eye(3)]
    np.testing.assert_allclose(problem.member_costs, alone, atol=1e-12)


def test_an_undefined_metric_costs_more_than_anything():
    predictions, _ = make_members([1.0], rows=10)
    one_label = np.zeros(10, dtype=int)
    assert Problem(predictions, one_label, "roc_auc").cost(np.ones(1)) == np.inf


def test_a_certain_error_costs_what_the_metric_says():
    predictions = np.array([[[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    problem = Problem(predictions, np.array([0, 1, 1]))
    assert problem.cost(np.ones(1)) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (GOOD[0], [0, 1, 0], r"Received: \(3, 2\)"),
        (GOOD[:0], [0, 1, 0], r"Received: \(0, 3, 2\)"),
        ([GOOD[0], GOOD[0][:2]], [0, 1, 0], "different shapes"),
        (GOOD, [0, 1], r"labels \(2,\), probabilities \(3, 2\)"),
        (GOOD, [0, 1, 2], r"labels in 0\.\.2"),
        (GOOD, [0, -1, 1], r"labels in -1\.\.1"),
        (GOOD, [0.0, 1.0, 1.0], "float64"),
        (GOOD[:, :2], [0, 1], "at least 3 validation rows. Received: 2"),
        (GOOD * [[[1]], [[np.nan]]], [0, 1, 0], "Member 1"),
        (GOOD * [[[1]], [[np.inf]]], [0, 1, 0], "Member 1"),
        (GOOD * [[[2]], [[1]]], [0, 1, 0], "Member 0"),
        (np.tile([1.5, -0.5], (2, 3, 1)), [0, 1, 0], "Member 0"),
    ],
)
def test_bad_input(predictions, labels, message):
    with pytest.raises(DataError, match=message):
        check_predictions(predictions, labels)
