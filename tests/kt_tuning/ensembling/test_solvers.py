"""The solvers: common properties, and each against its source."""

import importlib.util
import sys

import numpy as np
import pytest
from member_cases import CLASSES, make_members, of_truth, softmax
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from kt_tuning.core.errors import MissingExtraError
from kt_tuning.ensembling import SOLVERS
from kt_tuning.ensembling.problem import Problem
from kt_tuning.ensembling.solvers import convex_weights, greedy_weights, stacked
from kt_tuning.evaluation import METRICS, score

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
    assert gap <= 1e-7


def weights_of(name, predictions, labels, seed=0, metric="log_loss"):
    problem = Problem(predictions, labels, metric)
    return np.array(SOLVERS[name](problem, np.random.default_rng(seed)).weights)


def loss_of(weights, predictions, labels):
    return score(labels, np.tensordot(weights, predictions, axes=1), ["log_loss"])["log_loss"]


def test_random_is_no_worse_than_the_mean_and_depends_on_the_seed():
    predictions, labels = make_members([1.0, 2.0, 1.5, 0.0, 0.5])
    found, other = (weights_of("random", predictions, labels, seed) for seed in (0, 1))
    assert loss_of(found, predictions, labels) < loss_of([0.2] * 5, predictions, labels)
    assert found.tolist() != other.tolist()


def test_random_keeps_the_mean_where_it_is_best():
    # Two members that mirror each other: any other weights cost more.
    predictions = np.array([[[0.8, 0.2], [0.2, 0.8]], [[0.2, 0.8], [0.8, 0.2]]])
    np.testing.assert_array_equal(weights_of("random", predictions, np.array([0, 0])), [0.5, 0.5])


@pytest.mark.parametrize("name", ["nelder-mead", "cmaes"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_minimum_of_log_loss_is_found(name, count):
    if name == "cmaes":
        pytest.importorskip("cmaes")
    predictions, labels = make_members(np.linspace(1.0, 1.6, count))
    best, _ = convex_weights(of_truth(predictions, labels))
    np.testing.assert_allclose(weights_of(name, predictions, labels), best, atol=0.01)


@pytest.mark.parametrize("name", ["nelder-mead", "cmaes"])
def test_never_worse_than_the_mean(name):
    if name == "cmaes":
        pytest.importorskip("cmaes")
    predictions, labels = make_members([1.0] * 12, rows=60)
    for metric in ("log_loss", "accuracy"):
        found = Problem(predictions, labels, metric).cost(
            weights_of(name, predictions, labels, 0, metric)
        )
        assert found <= Problem(predictions, labels, metric).cost(np.full(12, 1 / 12))


def test_cmaes_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match=r"kt-tuning\[cmaes\]"):
        weights_of("cmaes", *make_members([1.0, 1.0], rows=20))


def select(predictions, labels, metric="log_loss", rounds=50):
    """One selection: rounds, each over all members, with every mean computed anew."""
    sign = 1 if metric == "accuracy" else -1

    def worth(chosen):
        return sign * score(labels, predictions[chosen].mean(axis=0), [metric])[metric]

    order = sorted(range(len(predictions)), key=lambda index: -worth([index]))
    chosen = order[: max(range(1, len(order) + 1), key=lambda length: worth(order[:length]))]
    path, shortest = [worth(chosen)], len(chosen)
    while len(chosen) < rounds:
        best = max(range(len(predictions)), key=lambda index: worth([*chosen, index]))
        chosen.append(best)
        path.append(worth(chosen))
    prefix = chosen[: shortest + int(np.argmax(path))]
    return np.bincount(prefix, minlength=len(predictions)) / len(prefix)


def greedy(predictions, labels, metric="log_loss", seed=0, **options):
    problem = Problem(predictions, labels, metric)
    return greedy_weights(problem, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_one_selection_follows_the_paper(seed, metric):
    predictions, labels = make_members([0.5, 1.0, 1.2, 1.4, 0.0], rows=61, seed=seed)
    found = greedy(predictions, labels, metric, rounds=20, bags=1)
    expected = select(predictions, labels, metric, 20)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_single_selection_starts_with_the_best_and_stops_where_adding_hurts():
    # Member 0 is better on every row: any second choice makes it worse.
    predictions = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]])
    np.testing.assert_array_equal(greedy(predictions, np.array([0, 1])), [1, 0])


def test_bags_are_halves_with_the_best_member_and_are_averaged():
    predictions, labels = make_members([0.5, 1.0, 1.2, 1.4, 0.0, 1.1], rows=80)
    rng = np.random.default_rng(5)
    total = np.zeros(6)
    best = np.log(of_truth(predictions, labels)).mean(axis=1).argmax()
    for _ in range(3):
        half = np.union1d(rng.choice(6, size=3, replace=False), best)
        total[half] += select(predictions[half], labels, rounds=10)
    found = greedy(predictions, labels, seed=5, rounds=10, bags=3)
    np.testing.assert_allclose(found, total / 3, atol=1e-12)


def test_a_few_members_are_not_halved():
    predictions, labels = make_members([1.0, 1.2, 1.4], rows=60)
    np.testing.assert_array_equal(greedy(predictions, labels), greedy(predictions, labels, bags=1))


def test_bags_spread_the_weight():
    predictions, labels = make_members(np.linspace(0.8, 1.0, 20), rows=60)
    bagged, once = greedy(predictions, labels), greedy(predictions, labels, bags=1)
    assert (bagged > 0).sum() > (once > 0).sum()


def stack(predictions, labels):
    return stacked(Problem(predictions, labels), np.random.default_rng(0))


def unknowns(combination):
    calibration = combination.calibrations[0]
    return np.array(combination.weights) * calibration.scales[0], np.array(calibration.shifts)


def test_two_classes_are_a_logistic_regression_on_the_differences_of_logarithms():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=4000)
    margins = rng.normal(size=(3, 4000)) * 1.5 + (labels - 0.5) * np.array([[1.0], [2.0], [3.0]])
    predictions = softmax(np.stack([np.zeros_like(margins), margins], axis=2))
    combination = stack(predictions, labels)
    coefficients, intercepts = unknowns(combination)
    reference = LogisticRegression(C=1e4).fit(margins.T, labels)
    np.testing.assert_allclose(coefficients, reference.coef_[0], atol=0.01)
    assert intercepts[1] - intercepts[0] == pytest.approx(reference.intercept_[0], abs=0.01)
    np.testing.assert_allclose(
        combination.predict(predictions), reference.predict_proba(margins.T), atol=0.01
    )


def test_the_regularised_loss_is_least():
    predictions, labels = make_members([0.3, 1.0, 1.5], rows=60)
    coefficients, intercepts = unknowns(stack(predictions, labels))
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
    coefficients, _ = unknowns(stack(predictions, labels))
    np.testing.assert_allclose(coefficients, [1.0, 1.0, 0.0], atol=0.1)


def test_a_prior_that_has_shifted_is_found():
    predictions, labels = make_members([1.5, 1.5], rows=4000)
    kept = (labels != 2) | (np.random.default_rng(0).random(4000) < 0.2)
    _, intercepts = unknowns(stack(predictions[:, kept], labels[kept]))
    assert intercepts[2] - np.delete(intercepts, 2).mean() == pytest.approx(np.log(0.2), abs=0.2)


def test_members_that_know_nothing_leave_the_common_classes():
    labels = np.repeat([0, 1], [30, 10])
    predictions = softmax(np.random.default_rng(0).normal(size=(2, 40, 2)) * 1e-9)
    found = stack(predictions, labels).predict(predictions)
    np.testing.assert_allclose(found, np.tile([0.75, 0.25], (40, 1)), atol=0.02)


def test_misleading_members_get_no_negative_weight():
    predictions, labels = make_members([2.0], rows=300)
    wrong = predictions[:, :, [1, 2, 3, 0]]
    combination = stack(np.concatenate([predictions, wrong]), labels)
    assert combination.weights == (1.0, 0.0)
