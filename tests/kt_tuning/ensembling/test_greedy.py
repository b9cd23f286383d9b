"""Ensemble selection against the papers, written out without a trick."""

import numpy as np
import pytest
from member_cases import make_members, of_truth

from kt_tuning.ensembling.problem import Problem
from kt_tuning.ensembling.solvers import greedy_weights
from kt_tuning.evaluation import score


def select(predictions, labels, metric="log_loss", rounds=50, sorted_start=False):
    """One selection: rounds, each over all members, with every mean computed anew."""
    sign = 1 if metric == "accuracy" else -1

    def worth(chosen):
        return sign * score(labels, predictions[chosen].mean(axis=0), [metric])[metric]

    order = sorted(range(len(predictions)), key=lambda index: -worth([index]))
    starts = range(1, len(order) + 1) if sorted_start else [1]
    chosen = order[: max(starts, key=lambda length: worth(order[:length]))]
    path, shortest = [worth(chosen)], len(chosen)
    while len(chosen) < rounds:
        best = max(range(len(predictions)), key=lambda index: worth([*chosen, index]))
        chosen.append(best)
        path.append(worth(chosen))
    prefix = chosen[: shortest + int(np.argmax(path))]
    return np.bincount(prefix, minlength=len(predictions)) / len(prefix)


def run(predictions, labels, metric="log_loss", seed=0, **options):
    problem = Problem(predictions, labels, metric)
    return greedy_weights(problem, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sorted_start", [False, True])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_one_selection_follows_the_paper(seed, sorted_start, metric):
    predictions, labels = make_members([0.5, 1.0, 1.2, 1.4, 0.0], rows=61, seed=seed)
    found = run(predictions, labels, metric, rounds=20, bags=1, sorted_start=sorted_start)
    expected = select(predictions, labels, metric, 20, sorted_start)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_single_selection_starts_with_the_best_and_stops_where_adding_hurts():
    # Member 0 is better on every row: any second choice makes it worse.
    predictions = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]])
    np.testing.assert_array_equal(run(predictions, np.array([0, 1])), [1, 0])


def test_bags_are_halves_with_the_best_member_and_are_averaged():
    predictions, labels = make_members([0.5, 1.0, 1.2, 1.4, 0.0, 1.1], rows=80)
    rng = np.random.default_rng(5)
    total = np.zeros(6)
    best = np.log(of_truth(predictions, labels)).mean(axis=1).argmax()
    for _ in range(3):
        half = np.union1d(rng.choice(6, size=3, replace=False), best)
        total[half] += select(predictions[half], labels, rounds=10, sorted_start=True)
    found = run(predictions, labels, seed=5, rounds=10, bags=3)
    np.testing.assert_allclose(found, total / 3, atol=1e-12)


def test_a_few_members_are_not_halved():
    predictions, labels = make_members([1.0, 1.2, 1.4], rows=60)
    np.testing.assert_array_equal(run(predictions, labels), run(predictions, labels, bags=1))


def test_bags_spread_the_weight():
    predictions, labels = make_members(np.linspace(0.8, 1.0, 20), rows=60)
    bagged, once = run(predictions, labels), run(predictions, labels, bags=1)
    assert (bagged > 0).sum() > (once > 0).sum()
