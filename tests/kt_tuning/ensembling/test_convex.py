"""The convex solver: by hand, against SLSQP, and on degenerate problems."""

import numpy as np
import pytest
import scipy.optimize

from kt_tuning.ensembling.solvers import convex_weights

RNG = np.random.default_rng


def log_loss(weights, of_truth):
    return -np.log(weights @ of_truth).mean()


def reference_gap(weights, of_truth):
    return max(np.mean(member / (weights @ of_truth)) for member in of_truth) - 1


def problem(members, rows, seed=0):
    """Members of varied skill and confidence, right and wrong on different rows."""
    rng = RNG(seed)
    shared = rng.normal(size=rows)
    margins = rng.uniform(0, 2, (members, 1)) + shared + rng.normal(size=(members, rows))
    return np.clip(1 / (1 + np.exp(-margins * rng.uniform(0.5, 5, (members, 1)))), 1e-7, 1)


def test_two_mirrored_members_share():
    weights, gap = convex_weights(np.array([[0.8, 0.2], [0.2, 0.8]]))
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-6)
    assert gap <= 1e-7


def test_disjoint_experts_count_by_their_rows():
    # Each row has one member that knows it: the maximum of 3 log(a) + log(b) is a = 3/4.
    of_truth = np.array([[1, 1, 1, 1e-12], [1e-12, 1e-12, 1e-12, 1]])
    weights, _ = convex_weights(of_truth)
    np.testing.assert_allclose(weights, [0.75, 0.25], atol=1e-6)


def test_interior_optimum_by_hand():
    # d/dw of 2 log(0.5 + 0.4 w) + log(0.5 - 0.25 w): 0.8 (0.5 - 0.25 w) = 0.25 (0.5 + 0.4 w).
    of_truth = np.array([[0.9, 0.9, 0.25], [0.5, 0.5, 0.5]])
    weights, _ = convex_weights(of_truth)
    assert weights[0] == pytest.approx(0.275 / 0.3, abs=1e-5)


def test_a_member_that_is_worse_everywhere_counts_exactly_nothing():
    weights, _ = convex_weights(np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6]]))
    np.testing.assert_array_equal(weights, [1.0, 0.0])


def test_one_member():
    weights, gap = convex_weights(np.array([[0.3, 0.9]]))
    assert (weights.tolist(), gap) == ([1.0], 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_slsqp(seed):
    of_truth = problem(8, 300, seed)
    found = scipy.optimize.minimize(
        log_loss,
        np.full(8, 1 / 8),
        args=(of_truth,),
        jac=lambda w, p: -(p @ (1 / (w @ p))) / p.shape[1],
        bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    weights, _ = convex_weights(of_truth)
    assert log_loss(weights, of_truth) <= found.fun + 1e-9
    np.testing.assert_allclose(weights, found.x, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_gap_is_honest(seed):
    of_truth = problem(6, 80, seed)
    weights, gap = convex_weights(of_truth)
    assert gap == pytest.approx(max(0.0, reference_gap(weights, of_truth)), abs=1e-12)
    elsewhere = RNG(seed).dirichlet(np.ones(6), size=1000)
    assert log_loss(weights, of_truth) - min(log_loss(w, of_truth) for w in elsewhere) <= gap


def degenerate_problems():
    rng = RNG(3)
    few = problem(4, 50)
    yield "identical members", np.repeat(few[:1], 20, axis=0)
    yield "twins", np.repeat(few, 5, axis=0)
    yield "nearly twins", np.repeat(few, 5, axis=0) * (1 - 1e-9 * rng.uniform(size=(20, 50)))
    yield "more members than rows", rng.uniform(0.01, 1, (60, 5))
    yield "one row", rng.uniform(0.01, 1, (10, 1))
    yield "zero or one", np.clip((rng.uniform(size=(30, 200)) < 0.3) * 1.0, 1e-7, 1)
    yield "seven magnitudes", 10 ** rng.uniform(-7, 0, (30, 200))
    yield "rows that nobody knows", np.clip(few * (np.arange(50) % 2), 1e-12, 1)
    yield "constant members", np.tile(rng.uniform(0.01, 1, (10, 1)), (1, 50))


@pytest.mark.parametrize(
    "of_truth", [pytest.param(problem_, id=name) for name, problem_ in degenerate_problems()]
)
def test_degenerate_problems_are_solved(of_truth):
    weights, gap = convex_weights(of_truth)
    assert reference_gap(weights, of_truth) <= gap + 1e-12 <= 1e-7
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_many_random_problems_are_solved():
    rng = RNG(4)
    for _ in range(100):
        shape = rng.integers(1, 30), rng.integers(1, 100)
        of_truth = np.clip(rng.beta(*rng.uniform(0.05, 2, 2), size=shape), 1e-7, 1)
        weights, gap = convex_weights(of_truth)
        assert gap <= 1e-7
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_fifty_members_on_ten_thousand_rows():
    _, gap = convex_weights(problem(50, 10_000))
    assert gap <= 1e-7
