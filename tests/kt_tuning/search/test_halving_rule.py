"""The rule of asynchronous successive halving, by epochs and by time."""

import math

import pytest

from kt_tuning.search.pruning import HalvingRule, Point, Promotion, Rung, RungScores

RULE = HalvingRule((Rung(1), Rung(3)), maximise=True)


def curve(*values, seconds=1.0):
    return [Point(n, n * seconds, value) for n, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, (1, 1)), (2, (1, 1)), (9, (1, 3)), (12, (1, 4)), (30, (3, 10))]
)
def test_trials_pause_after_a_ninth_and_a_third(epochs, rungs):
    rule = HalvingRule.of(epochs, maximise=True)
    assert [rung.epochs for rung in rule.rungs] == list(rungs)
    assert {rung.seconds for rung in rule.rungs} == {math.inf}


def test_a_time_limit_is_meant_for_seven_of_the_longest_trainings():
    rule = HalvingRule.of(30, maximise=True, seconds=630)
    assert [rung.epochs for rung in rule.rungs] == [3, 10, math.inf]
    assert [rung.seconds for rung in rule.rungs] == pytest.approx([10, 30, 90])


def test_a_rung_is_reached_by_epochs_or_by_time():
    rule = HalvingRule((Rung(2, 10), Rung(5, 30), Rung(math.inf, 90)), maximise=True)
    assert [rule.rung(curve(*[0.1] * n)) for n in (0, 1, 2, 4, 5, 30)] == [0, 0, 1, 1, 2, 2]
    assert [rule.rung(curve(*[0.1] * n, seconds=40)) for n in (1, 2, 3)] == [2, 2, 3]


def test_the_best_third_goes_on():
    curves = {"a": curve(0.1), "b": curve(0.3)}
    assert RULE.promotable(1, curves, ()) == []
    curves["c"] = curve(0.2)
    assert RULE.promotable(1, curves, ()) == ["b"]
    assert HalvingRule((Rung(1),), maximise=False).promotable(1, curves, ()) == ["a"]


def test_what_came_after_a_rung_does_not_count_there():
    curves = {"late": curve(0.1, 0.1, 0.1, 0.9), "a": curve(0.1, 0.1, 0.2), "b": curve(0.1, 0.1, 0)}
    assert RULE.promotable(2, curves, ()) == ["a"]


def test_a_trial_that_ended_before_a_rung_is_compared_there():
    curves = {"early": curve(0.5, 0.7), "a": curve(0.1, 0.1, 0.2), "b": curve(0.1, 0.1, 0.1)}
    assert RULE.promotable(2, curves, {"early"}) == ["early"]
    assert RULE.promotable(2, curves, ()) == []


def test_when_no_more_trials_come_at_least_the_best_goes_on():
    assert RULE.promotable(1, {"a": curve(0.1), "b": curve(0.3)}, (), Promotion.BEST) == ["b"]
    assert RULE.promotable(1, {"a": curve(0.1), "b": curve(0.3)}, (), Promotion.ANY) == ["b", "a"]
    assert RULE.promotable(1, {}, (), Promotion.BEST) == []


def test_of_two_that_learn_alike_the_quicker_one_goes_on():
    rule = HalvingRule((Rung(9, 10), Rung(27, 30)), maximise=True)
    learned = [0.1 * n for n in range(1, 10)]
    quick = curve(*learned)
    slow = curve(*learned[:2], seconds=5)
    bad = curve(*[0.0] * 9)
    assert rule.promotable(1, {"slow": slow, "quick": quick, "bad": bad}, ()) == ["quick"]


def test_trials_of_other_processes_are_compared():
    curves = {"a": curve(0.1), "b": curve(0.3)}
    there, ended = RungScores({1: 0.2}), RungScores({}, final=0.5)
    assert RULE.promotable(1, curves, (), others={"there": there}) == ["b"]
    assert RULE.promotable(1, curves, (), others={"below": RungScores({})}) == []
    assert RULE.promotable(1, curves, (), others={"ended": ended}) == ["ended"]
    # What runs here is known better.
    assert RULE.promotable(1, curves, (), Promotion.ANY, {"a": RungScores({1: 0.9})}) == ["b", "a"]


def test_a_trial_elsewhere_counts_at_a_rung_with_what_it_had_there():
    scores = RungScores({1: 0.2, 3: 0.4}, final=0.6)
    assert [scores.score(rung) for rung in (1, 2, 3, 4)] == [0.2, 0.4, 0.4, 0.6]
    assert RungScores({1: 0.2}).score(2) is None
