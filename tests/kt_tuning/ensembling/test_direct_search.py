import sys

import numpy as np
import pytest
from member_cases import make_members, of_truth

from kt_tuning.core.errors import MissingExtraError
from kt_tuning.ensembling import SOLVERS
from kt_tuning.ensembling.convex import convex_weights
from kt_tuning.ensembling.problem import Problem
from kt_tuning.evaluation import score


def run(name, predictions, labels, seed=0, metric="log_loss"):
    problem = Problem(predictions, labels, metric)
    return np.array(SOLVERS[name](problem, np.random.default_rng(seed)).weights)


def loss(weights, predictions, labels):
    return score(labels, np.tensordot(weights, predictions, axes=1), ["log_loss"])["log_loss"]


def test_random_is_no_worse_than_the_mean_and_depends_on_the_seed():
    predictions, labels = make_members([1.0, 2.0, 1.5, 0.0, 0.5])
    found, other = (run("random", predictions, labels, seed) for seed in (0, 1))
    assert loss(found, predictions, labels) < loss([0.2] * 5, predictions, labels)
    assert found.tolist() != other.tolist()


def test_random_keeps_the_mean_where_it_is_best():
    # Two members that mirror each other: any other weights cost more.
    predictions = np.array([[[0.8, 0.2], [0.2, 0.8]], [[0.2, 0.8], [0.8, 0.2]]])
    np.testing.assert_array_equal(run("random", predictions, np.array([0, 0])), [0.5, 0.5])


@pytest.mark.parametrize("name", ["nelder-mead", "cmaes"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_minimum_of_log_loss_is_found(name, count):
    if name == "cmaes":
        pytest.importorskip("cmaes")
    predictions, labels = make_members(np.linspace(1.0, 1.6, count))
    best, _ = convex_weights(of_truth(predictions, labels))
    np.testing.assert_allclose(run(name, predictions, labels), best, atol=0.01)


@pytest.mark.parametrize("name", ["nelder-mead", "cmaes"])
def test_never_worse_than_the_mean(name):
    if name == "cmaes":
        pytest.importorskip("cmaes")
    predictions, labels = make_members([1.0] * 12, rows=60)
    for metric in ("log_loss", "accuracy"):
        found = Problem(predictions, labels, metric).cost(run(name, predictions, labels, 0, metric))
        assert found <= Problem(predictions, labels, metric).cost(np.full(12, 1 / 12))


def test_cmaes_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match=r"kt-tuning\[cmaes\]"):
        run("cmaes", *make_members([1.0, 1.0], rows=20))
