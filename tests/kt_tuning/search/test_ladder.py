"""Who pauses, who goes on, and what is remembered of an earlier run."""

from types import SimpleNamespace

import pytest

from kt_tuning.search.ladder import Ladder, Standing
from kt_tuning.search.rungs import Climbed, Going, Halving, Point, Rung

RULE = Halving((Rung(1), Rung(3)), maximise=True)


def spec(trial):
    return SimpleNamespace(trial_id=trial)


@pytest.fixture
def ladder():
    return Ladder(RULE, {})


def climb(ladder, trial, *values):
    """The rungs that a trial stops at, if it is not stopped."""
    steps = [ladder.climb(trial, n, 1.0, value) for n, value in enumerate(values, 1)]
    return [step for step in steps if step]


def test_a_trial_is_judged_once_a_rung(ladder):
    assert climb(ladder, "a", 0.1, 0.3, 0.2, 0.9) == [
        Standing(1, 0.1, pause=True),
        Standing(2, 0.3, pause=True),
    ]


def test_one_among_the_best_third_does_not_pause(ladder):
    for trial, value in (("a", 0.1), ("b", 0.2)):
        climb(ladder, trial, value)
    assert climb(ladder, "c", 0.3) == [Standing(1, 0.3, pause=False)]
    assert climb(ladder, "d", 0.2) == [Standing(1, 0.2, pause=True)]


def test_the_highest_rung_comes_first(ladder):
    for trial, values in {"a": [0.9], "b": [0.1], "c": [0.2], "x": [0.1, 0.1, 0.3]}.items():
        climb(ladder, trial, *values)
        ladder.pause(spec(trial))
    assert ladder.go_on(Going.BEST).trial_id == "x"
    assert ladder.go_on(Going.BEST_THIRD).trial_id == "a"
    assert ladder.go_on(Going.BEST_THIRD) is None
    assert [paused.trial_id for paused in ladder.paused] == ["b", "c"]


def test_a_trial_that_failed_takes_no_place(ladder):
    for trial, value in (("a", 0.9), ("b", 0.1), ("c", 0.2)):
        climb(ladder, trial, value)
        ladder.pause(spec(trial))
    ladder.end("a", usable=False)
    assert ladder.go_on(Going.BEST_THIRD) is None
    assert ladder.go_on(Going.BEST).trial_id == "c"


def test_an_epoch_that_is_trained_again_replaces_the_one_before(ladder):
    climb(ladder, "a", 0.1, 0.9)
    assert ladder.climb("a", 2, 1.0, 0.2) is None
    assert ladder.climb("a", 3, 1.0, 0.1) == Standing(2, 0.2, pause=True)


def test_what_ended_in_an_earlier_run_is_compared_and_what_failed_is_not():
    earlier = {name: [Point(1, 1, value)] for name, value in (("a", 0.9), ("b", 0.8), ("c", 0.1))}
    ladder = Ladder(RULE, earlier)
    ladder.end("a", usable=False)
    ladder.end("b", usable=True)
    assert climb(ladder, "d", 0.1, 0.1, 0.1)[-1] == Standing(2, 0.1, pause=True)
    assert climb(ladder, "e", 0.85) == [Standing(1, 0.85, pause=False)]


def test_a_trial_of_an_earlier_run_stands_where_its_curve_ends():
    earlier = {"a": [Point(n, n, n / 10) for n in range(1, 5)]}
    ladder = Ladder(RULE, earlier)
    assert ladder.pause(spec("a")) == Standing(2, 0.3, pause=True)
    assert ladder.pause(spec("unknown")) is None


def test_others_are_asked_how_far_theirs_have_got():
    others = {}
    ladder = Ladder(RULE, {}, lambda: others)
    others.update(x=Climbed({1: 0.5}), y=Climbed({1: 0.1}))
    assert climb(ladder, "a", 0.3) == [Standing(1, 0.3, pause=True)]
    ladder.pause(spec("a"))
    # Of three the best is elsewhere; when that one has failed, the best of two is here.
    assert ladder.go_on(Going.BEST) is None
    del others["x"]
    assert ladder.go_on(Going.BEST).trial_id == "a"


def test_a_trial_that_another_process_has_left_goes_on_with_its_curve(ladder):
    ladder.adopt("a", [Point(1, 1.0, 0.4), Point(2, 2.0, 0.2)])
    assert ladder.climb("a", 3, 1.0, 0.1) == Standing(2, 0.4, pause=True)
