import keras_tuner
import optuna
import pytest
from optuna import pruners
from search_spaces import make_oracle, mixed, space_of

from kt_tuning.core.errors import OptionError
from kt_tuning.core.units import count
from kt_tuning.search.pruning import PRUNERS, make_pruner


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
