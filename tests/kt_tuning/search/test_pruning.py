"""Pruners, and the table of rungs of successive halving."""

import math
from types import SimpleNamespace

import keras_tuner
import optuna
import pytest
from optuna import pruners
from search_spaces import make_oracle, mixed, space_of

from kt_tuning.core.errors import OptionError
from kt_tuning.core.units import count
from kt_tuning.search.pruning import (
    PRUNERS,
    Point,
    Promotion,
    Rung,
    RungScores,
    RungTable,
    make_pruner,
    make_rungs,
)


def race(pruner, curves):
    """Run trials with these curves; return after how many epochs each was told to stop."""
    oracle = make_oracle("random", hyperparameters=space_of(mixed), pruner=pruner)
    lengths = []
    for curve in curves:
        trial = oracle.create_trial("tuner")
        length = 0
        for epoch, value in enumerate(curve):
            length += 1
            if not oracle.report(trial.trial_id, epoch, value):
                break
        lengths.append(length)
        oracle.update_trial(trial.trial_id, {"loss": min(curve[:length])}, step=length - 1)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return oracle, lengths


GOOD = [1.0 - 0.1 * epoch for epoch in range(9)]
BAD = [5.0 + 0.1 * epoch for epoch in range(9)]


@pytest.mark.parametrize("name", ["median", "percentile", "patient", "asha"])
def test_a_bad_trial_is_cut_short_and_a_good_one_is_not(name):
    _, lengths = race(name, [GOOD] * 6 + [BAD, [value - 0.5 for value in GOOD]])
    assert lengths[0] == lengths[-1] == 9
    assert lengths[-2] < 9


def test_hyperband_cuts_bad_trials_short():
    _, lengths = race(make_pruner("hyperband", 9), [GOOD] + [BAD] * 12)
    assert lengths[0] == 9
    assert min(lengths) < 9


def test_wilcoxon_stops_what_is_worse_on_every_fold():
    _, lengths = race("wilcoxon", [[0.1, 0.2, 0.15, 0.1, 0.12], [0.3, 0.5, 0.4, 0.35, 0.42]])
    # Four folds in a row are needed for p = 1/16 < 0.1.
    assert lengths == [5, 4]


def test_none_stops_nothing():
    assert race("none", [GOOD, BAD, BAD])[1] == [9, 9, 9]


def test_a_pruned_trial_keeps_its_curve_and_its_best_value():
    oracle, lengths = race("median", [GOOD] * 6 + [[5.0, 4.0, 6.0]])
    trial = oracle.trials[oracle.start_order[-1]]
    frozen = oracle.study.trials[-1]
    assert frozen.state == optuna.trial.TrialState.PRUNED
    assert len(frozen.intermediate_values) == lengths[-1]
    assert trial.status == "COMPLETED"
    assert trial.message == f"pruned after {count(lengths[-1], 'epoch')}"
    assert trial.score == min(frozen.intermediate_values.values())


def test_the_median_waits_until_schedules_are_warm():
    assert race(make_pruner("median", 30), [GOOD] * 6 + [BAD])[1][-1] == 4


def test_every_name_makes_a_pruner_and_none_is_none():
    for name in PRUNERS:
        assert isinstance(make_pruner(name, 10), pruners.BasePruner)
        assert isinstance(make_pruner(name), pruners.BasePruner)
    assert isinstance(make_pruner(None), pruners.NopPruner)


def test_an_unknown_pruner_is_refused():
    with pytest.raises(
        OptionError, match=r"Unknown pruner 'meadian'\. Did you mean 'median'\? Known: none, median"
    ):
        make_pruner("meadian")


@pytest.mark.parametrize(
    "options",
    [
        {"pruner": "median"},
        {"pruner": pruners.ThresholdPruner(upper=1.0)},
        {"strategy": "hyperband"},
    ],
)
def test_several_objectives_have_no_pruner(options):
    objectives = [keras_tuner.Objective("loss", "min"), keras_tuner.Objective("size", "min")]
    with pytest.raises(OptionError, match=r'Received 2 objectives and the pruner .* pruner="none"'):
        make_oracle(**{"objective": objectives, **options})


RUNGS = (Rung(1), Rung(3))


class Oracle:
    """Remembers the ranks of trials; other processes run `others`."""

    def __init__(self, others=()):
        self.others = dict(others)
        self.ranks = []

    def other_scores(self):
        return self.others

    def rank(self, trial, rung, value):
        self.ranks.append((trial, rung, value))


def table(curves=(), *, ended=(), others=(), rungs=RUNGS, maximise=True):
    made = RungTable(Oracle(others), rungs, maximise=maximise, curves=dict(curves))
    for trial in ended:
        made.end(trial, usable=True)
    return made


def curve(*values, seconds=1.0):
    return [Point(n, n * seconds, value) for n, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, (1, 1)), (2, (1, 1)), (9, (1, 3)), (12, (1, 4)), (30, (3, 10))]
)
def test_trials_pause_after_a_ninth_and_a_third(epochs, rungs):
    made = make_rungs(epochs)
    assert [rung.epochs for rung in made] == list(rungs)
    assert {rung.seconds for rung in made} == {math.inf}


def test_a_time_limit_is_meant_for_seven_of_the_longest_trainings():
    made = make_rungs(30, seconds=630)
    assert [rung.epochs for rung in made] == [3, 10, math.inf]
    assert [rung.seconds for rung in made] == pytest.approx([10, 30, 90])


def test_a_rung_is_reached_by_epochs_or_by_time():
    rungs = (Rung(2, 10), Rung(5, 30), Rung(math.inf, 90))

    def reached(epochs, seconds):
        return [rung.reached(Point(epochs, seconds, 0.1)) for rung in rungs].count(True)

    assert [reached(n, n) for n in (1, 2, 4, 5, 30)] == [0, 1, 1, 2, 2]
    assert [reached(n, 40 * n) for n in (1, 2, 3)] == [2, 2, 3]


def test_the_best_third_goes_on():
    curves = {"a": curve(0.1), "b": curve(0.3)}
    assert table(curves).promotable(1) == []
    curves["c"] = curve(0.2)
    assert table(curves).promotable(1) == ["b"]
    assert table(curves, maximise=False).promotable(1) == ["a"]


def test_what_came_after_a_rung_does_not_count_there():
    curves = {"late": curve(0.1, 0.1, 0.1, 0.9), "a": curve(0.1, 0.1, 0.2), "b": curve(0.1, 0.1, 0)}
    assert table(curves).promotable(2) == ["a"]


def test_a_trial_that_ended_before_a_rung_is_compared_there():
    curves = {"early": curve(0.5, 0.7), "a": curve(0.1, 0.1, 0.2), "b": curve(0.1, 0.1, 0.1)}
    assert table(curves, ended=["early"]).promotable(2) == ["early"]
    assert table(curves).promotable(2) == []


def test_when_no_more_trials_come_at_least_the_best_goes_on():
    two = table({"a": curve(0.1), "b": curve(0.3)})
    assert two.promotable(1, Promotion.BEST) == ["b"]
    assert two.promotable(1, Promotion.ANY) == ["b", "a"]
    assert table().promotable(1, Promotion.BEST) == []


def test_of_two_that_learn_alike_the_quicker_one_goes_on():
    learned = [0.1 * n for n in range(1, 10)]
    quick, slow, bad = curve(*learned), curve(*learned[:2], seconds=5), curve(*[0.0] * 9)
    rungs = table({"slow": slow, "quick": quick, "bad": bad}, rungs=(Rung(9, 10), Rung(27, 30)))
    assert rungs.promotable(1) == ["quick"]


def test_trials_of_other_processes_are_compared():
    curves = {"a": curve(0.1), "b": curve(0.3)}
    there, ended = RungScores({1: 0.2}), RungScores({}, final=0.5)
    assert table(curves, others={"there": there}).promotable(1) == ["b"]
    assert table(curves, others={"below": RungScores({})}).promotable(1) == []
    assert table(curves, others={"ended": ended}).promotable(1) == ["ended"]
    # What runs here is known better.
    known = table(curves, others={"a": RungScores({1: 0.9})})
    assert known.promotable(1, Promotion.ANY) == ["b", "a"]


def test_a_trial_elsewhere_counts_at_a_rung_with_what_it_had_there():
    scores = RungScores({1: 0.2, 3: 0.4}, final=0.6)
    assert [scores.score(rung) for rung in (1, 2, 3, 4)] == [0.2, 0.4, 0.4, 0.6]
    assert RungScores({1: 0.2}).score(2) is None


def spec(trial):
    return SimpleNamespace(trial_id=trial)


def train(rungs, trial, *values):
    """Train a trial that is not stopped; return whether it is told to pause after each epoch."""
    return [rungs.add_epoch(trial, n, 1.0, value) for n, value in enumerate(values, 1)]


def test_a_trial_is_compared_once_a_rung():
    rungs = table()
    assert train(rungs, "a", 0.1, 0.3, 0.2, 0.9) == [True, False, True, False]
    assert rungs.oracle.ranks == [("a", 1, 0.1), ("a", 2, 0.3)]


def test_one_among_the_best_third_does_not_pause():
    rungs = table()
    for trial, value in (("a", 0.1), ("b", 0.2)):
        train(rungs, trial, value)
    assert train(rungs, "c", 0.3) == [False]
    assert train(rungs, "d", 0.2) == [True]


def test_the_highest_rung_comes_first():
    rungs = table()
    for trial, values in {"a": [0.9], "b": [0.1], "c": [0.2], "x": [0.1, 0.1, 0.3]}.items():
        train(rungs, trial, *values)
        rungs.pause(spec(trial))
    assert rungs.promote(Promotion.BEST).trial_id == "x"
    assert rungs.promote(Promotion.BEST_THIRD).trial_id == "a"
    assert rungs.promote(Promotion.BEST_THIRD) is None
    assert [paused.trial_id for paused in rungs.paused] == ["b", "c"]


def test_a_trial_that_failed_takes_no_place():
    rungs = table()
    for trial, value in (("a", 0.9), ("b", 0.1), ("c", 0.2)):
        train(rungs, trial, value)
        rungs.pause(spec(trial))
    rungs.end("a", usable=False)
    assert rungs.promote(Promotion.BEST_THIRD) is None
    assert rungs.promote(Promotion.BEST).trial_id == "c"


def test_an_epoch_that_is_trained_again_replaces_the_one_before():
    rungs = table()
    train(rungs, "a", 0.1, 0.9)
    assert not rungs.add_epoch("a", 2, 1.0, 0.2)
    assert rungs.add_epoch("a", 3, 1.0, 0.1)
    assert rungs.oracle.ranks[-1] == ("a", 2, 0.2)


def test_what_ended_in_an_earlier_run_is_compared_and_what_failed_is_not():
    earlier = {name: [Point(1, 1, value)] for name, value in (("a", 0.9), ("b", 0.8), ("c", 0.1))}
    rungs = table(earlier, ended=["b"])
    rungs.end("a", usable=False)
    assert train(rungs, "d", 0.1, 0.1, 0.1)[-1]
    assert train(rungs, "e", 0.85) == [False]


def test_a_trial_of_an_earlier_run_stands_where_its_curve_ends():
    rungs = table({"a": [Point(n, n, n / 10) for n in range(1, 5)]})
    for trial in ("a", "unknown"):
        rungs.pause(spec(trial))
    assert rungs.oracle.ranks == [("a", 2, 0.3)]


def test_others_are_asked_how_far_theirs_have_got():
    rungs = table()
    rungs.oracle.others = {"x": RungScores({1: 0.5}), "y": RungScores({1: 0.1})}
    assert train(rungs, "a", 0.3) == [True]
    rungs.pause(spec("a"))
    # Of three the best is elsewhere; when that one has failed, the best of two is here.
    assert rungs.promote(Promotion.BEST) is None
    del rungs.oracle.others["x"]
    assert rungs.promote(Promotion.BEST).trial_id == "a"


def test_a_trial_that_another_process_has_left_goes_on_with_its_curve():
    rungs = table()
    rungs.adopt("a", [Point(1, 1.0, 0.4), Point(2, 2.0, 0.2)])
    assert rungs.add_epoch("a", 3, 1.0, 0.1)
    assert rungs.oracle.ranks == [("a", 2, 0.4)]
