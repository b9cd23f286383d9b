"""How optimistic the least of many errors is, against distributions whose answer is known."""

import numpy as np
import pytest

from kt_tuning.evaluation.selection_bias import optimism_of_best


def measured(true, event, rng):
    """Errors that are Poisson counts of events, and the luck of bootstraps of them."""
    counts = rng.poisson(true / event)
    luck = rng.poisson(np.repeat(counts[:, None], 200, axis=1)) - counts[:, None]
    return event * counts, event * luck


def test_a_gamma_distribution_has_the_textbook_answer():
    # Of a Poisson count k with a Gamma(a, scale) mean the posterior mean is
    # (k + a) / (1 + 1 / scale).
    rng = np.random.default_rng(0)
    shape, scale, event = 4.0, 5.0, 0.01
    errors, luck = measured(event * rng.gamma(shape, scale, size=2000), event, rng)
    count = errors.min() / event
    expected = event * ((count + shape) / (1 + 1 / scale) - count)
    assert optimism_of_best(errors, luck) == pytest.approx(expected, rel=0.3)


def test_the_best_of_equals_is_worth_little_more_than_their_mean():
    rng = np.random.default_rng(1)
    found, whole = [], []
    for _ in range(20):
        errors, luck = measured(np.full(50, 0.1), 0.001, rng)
        found.append(optimism_of_best(errors, luck))
        whole.append(0.1 - errors.min())
    assert 0.7 * np.mean(whole) < np.mean(found) < 1.05 * np.mean(whole)


def test_candidates_that_failed_change_nothing():
    rng = np.random.default_rng(2)
    errors, luck = measured(np.full(30, 0.1), 0.001, rng)
    failed, theirs = measured(np.full(20, 0.8), 0.001, rng)
    among = optimism_of_best(np.append(errors, failed), np.concatenate([luck, theirs]))
    assert among == pytest.approx(optimism_of_best(errors, luck), rel=0.15)


def test_a_clear_winner_was_not_lucky():
    rng = np.random.default_rng(3)
    errors, luck = measured(np.array([0.1, 0.3, 0.32, 0.31]), 0.0001, rng)
    assert optimism_of_best(errors, luck) < 0.001


@pytest.mark.parametrize(
    ("errors", "spread"),
    [([0.2], 0.01), ([0.2, 0.2, 0.2], 0.01), ([0.1, 0.2], 0.0), ([0.0] * 3, 0.0)],
)
def test_nothing_to_correct(errors, spread):
    luck = spread * np.random.default_rng(0).normal(size=(len(errors), 50))
    assert optimism_of_best(np.array(errors), luck) == pytest.approx(0.0, abs=1e-15)


def test_resamples_on_which_a_score_is_undefined_are_left_out():
    rng = np.random.default_rng(4)
    errors, luck = measured(np.full(10, 0.1), 0.001, rng)
    broken = np.column_stack([luck, np.full(10, np.nan)])
    assert optimism_of_best(errors, broken) == optimism_of_best(errors, luck)
