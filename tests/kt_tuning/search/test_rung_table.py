"""Who pauses, who goes on, and what is remembered of an earlier run."""

from types import SimpleNamespace

import pytest

from kt_tuning.search.pruning import (
    HalvingRule,
    Point,
    Promotion,
    Rung,
    RungResult,
    RungScores,
    RungTable,
)

RULE = HalvingRule((Rung(1), Rung(3)), maximise=True)


def spec(trial):
    return SimpleNamespace(trial_id=trial)


@pytest.fixture
def rungs():
    return RungTable(RULE, {})


def train(rungs, trial, *values):
    """The rungs that a trial stops at, if it is not stopped."""
    steps = [rungs.add_epoch(trial, n, 1.0, value) for n, value in enumerate(values, 1)]
    return [step for step in steps if step]


def test_a_trial_is_judged_once_a_rung(rungs):
    assert train(rungs, "a", 0.1, 0.3, 0.2, 0.9) == [
        RungResult(1, 0.1, pause=True),
        RungResult(2, 0.3, pause=True),
    ]


def test_one_among_the_best_third_does_not_pause(rungs):
    for trial, value in (("a", 0.1), ("b", 0.2)):
        train(rungs, trial, value)
    assert train(rungs, "c", 0.3) == [RungResult(1, 0.3, pause=False)]
    assert train(rungs, "d", 0.2) == [RungResult(1, 0.2, pause=True)]


def test_the_highest_rung_comes_first(rungs):
    for trial, values in {"a": [0.9], "b": [0.1], "c": [0.2], "x": [0.1, 0.1, 0.3]}.items():
        train(rungs, trial, *values)
        rungs.pause(spec(trial))
    assert rungs.promote(Promotion.BEST).trial_id == "x"
    assert rungs.promote(Promotion.BEST_THIRD).trial_id == "a"
    assert rungs.promote(Promotion.BEST_THIRD) is None
    assert [paused.trial_id for paused in rungs.paused] == ["b", "c"]


def test_a_trial_that_failed_takes_no_place(rungs):
    for trial, value in (("a", 0.9), ("b", 0.1), ("c", 0.2)):
        train(rungs, trial, value)
        rungs.pause(spec(trial))
    rungs.end("a", usable=False)
    assert rungs.promote(Promotion.BEST_THIRD) is None
    assert rungs.promote(Promotion.BEST).trial_id == "c"


def test_an_epoch_that_is_trained_again_replaces_the_one_before(rungs):
    train(rungs, "a", 0.1, 0.9)
    assert rungs.add_epoch("a", 2, 1.0, 0.2) is None
    assert rungs.add_epoch("a", 3, 1.0, 0.1) == RungResult(2, 0.2, pause=True)


def test_what_ended_in_an_earlier_run_is_compared_and_what_failed_is_not():
    earlier = {name: [Point(1, 1, value)] for name, value in (("a", 0.9), ("b", 0.8), ("c", 0.1))}
    rungs = RungTable(RULE, earlier)
    rungs.end("a", usable=False)
    rungs.end("b", usable=True)
    assert train(rungs, "d", 0.1, 0.1, 0.1)[-1] == RungResult(2, 0.1, pause=True)
    assert train(rungs, "e", 0.85) == [RungResult(1, 0.85, pause=False)]


def test_a_trial_of_an_earlier_run_stands_where_its_curve_ends():
    earlier = {"a": [Point(n, n, n / 10) for n in range(1, 5)]}
    rungs = RungTable(RULE, earlier)
    assert rungs.pause(spec("a")) == RungResult(2, 0.3, pause=True)
    assert rungs.pause(spec("unknown")) is None


def test_others_are_asked_how_far_theirs_have_got():
    others = {}
    rungs = RungTable(RULE, {}, lambda: others)
    others.update(x=RungScores({1: 0.5}), y=RungScores({1: 0.1}))
    assert train(rungs, "a", 0.3) == [RungResult(1, 0.3, pause=True)]
    rungs.pause(spec("a"))
    # Of three the best is elsewhere; when that one has failed, the best of two is here.
    assert rungs.promote(Promotion.BEST) is None
    del others["x"]
    assert rungs.promote(Promotion.BEST).trial_id == "a"


def test_a_trial_that_another_process_has_left_goes_on_with_its_curve(rungs):
    rungs.adopt("a", [Point(1, 1.0, 0.4), Point(2, 2.0, 0.2)])
    assert rungs.add_epoch("a", 3, 1.0, 0.1) == RungResult(2, 0.4, pause=True)
