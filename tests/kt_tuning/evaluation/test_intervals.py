"""Confidence intervals of shares, losses and differences."""

import math

import numpy as np
import pytest
from scipy import stats

from kt_tuning.evaluation import Interval
from kt_tuning.evaluation.intervals import (
    difference_interval,
    effective_rows,
    effective_share_interval,
    loss_interval,
    share_interval,
)


@pytest.mark.parametrize(("right", "rows"), [(0, 50), (1, 50), (70, 100), (358, 359), (359, 359)])
def test_an_effective_number_of_rows_that_is_whole_has_the_interval_of_clopper_and_pearson(
    right, rows
):
    expected = stats.binomtest(right, rows).proportion_ci(method="exact")
    found = effective_share_interval(right / rows, rows)
    assert found == pytest.approx(tuple(expected), abs=1e-9)


def test_the_interval_of_a_share_is_that_of_an_independent_program():
    # R: BlakerCI::binom.blaker.limits(3, 10).
    assert share_interval(3, 10) == pytest.approx((0.08726443, 0.61941066), abs=2e-6)


@pytest.mark.parametrize(("right", "rows"), [(0, 50), (1, 50), (70, 100), (358, 359), (359, 359)])
def test_the_interval_of_a_share_is_within_that_of_clopper_and_pearson(right, rows):
    low, high = share_interval(right, rows)
    outer = stats.binomtest(right, rows).proportion_ci(method="exact")
    assert outer.low - 1e-9 <= low <= right / rows <= high <= outer.high + 1e-9


def test_coverage_of_a_share_is_never_below_95_percent():
    for rows in (50, 100, 359):
        ends = np.array([share_interval(right, rows) for right in range(rows + 1)])
        for accuracy in (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.997):
            inside = (ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])
            chance = stats.binom.pmf(np.arange(rows + 1), rows, accuracy)
            assert 0.95 <= chance[inside].sum() <= 0.991


def test_an_undefined_share_has_no_interval():
    assert all(math.isnan(end) for end in effective_share_interval(math.nan, 10))


def test_effective_rows():
    # Variance of a share of 80 rows.
    assert effective_rows(0.9, 0.09 / 80, 200) == pytest.approx(80)
    assert effective_rows(0.9, 0.09 / 80, 50) == 50
    assert effective_rows(1.0, 0.0, 200) == 200


@pytest.mark.parametrize("events", [1, 4, 30])
def test_losses_of_equal_size_have_the_exact_poisson_interval(events):
    # Garwood (1936): quantiles of chi-squared with 2k and 2k + 2 degrees of freedom, halved.
    rows = 1000
    expected = stats.chi2.ppf(0.025, 2 * events) / 2, stats.chi2.ppf(0.975, 2 * events + 2) / 2
    low, high = loss_interval(events / rows, events / rows**2, 1.0, rows)
    assert (rows * low, rows * high) == pytest.approx(expected)


def test_a_mean_without_any_loss_reaches_up_to_what_three_and_a_half_events_make():
    # -log(0.025) = 3.69 events are missed with a probability of 2.5%.
    low, high = loss_interval(0.0, 0.0, 2.0, 100)
    assert (low, high) == (0.0, pytest.approx(2.0 * 3.6889 / 100, rel=1e-4))


@pytest.mark.parametrize(("rows", "size"), [(1, 0.3), (50, 2.0)])
def test_equal_losses_have_an_interval_around_them(rows, size):
    low, high = loss_interval(size, 0.0, size, rows)
    assert low == pytest.approx(size * 0.025 ** (1 / rows))
    assert low < size < high


def test_a_difference_of_shares_is_that_of_the_paper():
    # Newcombe (1998), table II, contrast (a): 56/70 - 48/80 by method 10.
    first, second = (
        Interval(right / rows, *stats.binomtest(right, rows).proportion_ci(method="wilson"))
        for right, rows in ((56, 70), (48, 80))
    )
    found = difference_interval(first, second, limit=1.0)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_difference_stays_within_its_limit():
    perfect, none = Interval(1.0, 0.5, 1.0), Interval(0.0, 0.0, 0.5)
    found = difference_interval(perfect, none, limit=1.0)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(1 - math.hypot(0.5, 0.5))


def test_a_difference_from_a_value_without_interval_has_none():
    found = difference_interval(
        Interval(0.9, 0.8, 1.0), Interval(0.7, math.nan, math.nan), limit=1.0
    )
    assert found.value == pytest.approx(0.2)
    assert found.limits == "n/a (a class has no images)"
