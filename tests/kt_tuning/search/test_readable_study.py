import keras_tuner
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from search_spaces import conditional, finish, make_oracle, mixed, run, space_of

from kt_tuning.records import TrialRecord
from kt_tuning.search.plots.readable_study import CUT_SHORT, readable, study_of
from kt_tuning.search.study.open_study import OBJECTIVES

ACCURACY = keras_tuner.Objective("val_accuracy", "max")
LATENCY = keras_tuner.Objective("latency", "min")


def record(number, status="COMPLETED", **options):
    values = {"rate": 0.01, "units": 16, "kind": "b", "flag": True}
    metrics = {} if status in ("FAILED", "INFEASIBLE") else {"val_accuracy": 0.5 + number / 10}
    start = {"trial_id": f"{number:02}", "number": number, "status": status, "best_epoch": 1}
    rest = {"values": values, "metrics": metrics, "epochs": 2, "seconds": 1.0, "parameters": 9}
    return TrialRecord(**{**start, **rest, **options})


def epochs(*rows):
    return pd.DataFrame(rows, columns=["trial_id", "epoch", "val_accuracy"])


NOTHING = epochs()


def test_records_become_trials_of_the_same_numbers():
    records = [record(3, "PRUNED"), record(0), record(1, "FAILED"), record(4, "INFEASIBLE")]
    study = study_of(records, NOTHING, [ACCURACY], space_of(mixed))
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "RUNNING", "PRUNED", "FAIL"]
    assert study.direction.name == "MAXIMIZE"
    assert study.trials[0].value == 0.5
    assert study.trials[0].params == {"rate": 0.01, "units": 16, "kind": "b", "flag": True}
    assert study.trials[0].distributions["rate"].log
    assert study.user_attrs[OBJECTIVES] == [["val_accuracy", "max"]]


def test_curves_are_means_over_folds():
    history = epochs(["00", 0, 0.2], ["00", 1, 0.4], ["01", 0, 0.3], ["00", 0, 0.4])
    study = study_of([record(0), record(1)], history, [ACCURACY], space_of(mixed))
    first, second = study.trials
    assert first.intermediate_values == pytest.approx({0: 0.3, 1: 0.4})
    assert second.intermediate_values == {0: 0.3}


def test_several_objectives_are_all_needed():
    both = {"val_accuracy": 0.9, "latency": 3.0}
    records = [record(0, metrics=both), record(1)]
    study = study_of(records, epochs(["00", 0, 0.2]), [ACCURACY, LATENCY], space_of(mixed))
    assert study.trials[0].values == [0.9, 3.0]
    assert study.trials[1].state == TrialState.FAIL
    assert study.trials[0].intermediate_values == {}
    latencies = readable(study, 1)
    assert latencies.trials[0].values == [3.0]
    assert latencies.direction.name == "MINIMIZE"
    assert readable(study).trials[0].values == [0.9, 3.0]


def test_no_records_are_no_trials():
    assert study_of([], NOTHING, [ACCURACY], space_of(mixed)).trials == []


def test_a_mirrored_parameter_is_as_the_user_knows_it():
    def space(hp):
        return hp.Float("momentum", 0.5, 0.9, sampling="reverse_log") + hp.Int(
            "units", 1, 9, sampling="reverse_log"
        )

    oracle = make_oracle(hyperparameters=space_of(space))
    configurations = run(oracle, space, 4)
    assert "momentum" not in oracle.study.trials[0].params
    shown = readable(oracle.study).trials
    assert [trial.params for trial in shown] == configurations
    assert all(0.5 <= trial.params["momentum"] <= 0.9 for trial in shown)


def test_a_name_with_other_ranges_in_other_scopes_keeps_them_apart():
    oracle = make_oracle(hyperparameters=space_of(conditional))
    configurations = run(oracle, conditional, 12)
    for trial, values in zip(readable(oracle.study).trials, configurations, strict=True):
        name = "units" if values["model"] == "cnn" else "units [model=mlp]"
        assert trial.params[name] == values["units"]
        assert ("momentum" in trial.params) == ("momentum" in values)


def prune(oracle, values):
    trial = oracle.create_trial("tuner")
    for epoch, value in enumerate(values):
        oracle.update_trial(trial.trial_id, {"loss": value}, step=epoch)
        if not oracle.report(trial.trial_id, epoch, value):
            break
    finish(oracle, trial)
    return trial


def test_a_pruned_trial_counts_with_its_best_value_if_asked():
    after_two = optuna.pruners.ThresholdPruner(upper=0.0, n_warmup_steps=1)
    oracle = make_oracle(hyperparameters=space_of(mixed), pruner=after_two)
    prune(oracle, [1.0, 2.0, 0.5])
    (shown,) = readable(oracle.study).trials
    assert (shown.state, shown.value) == (TrialState.COMPLETE, 1.0)
    assert shown.user_attrs[CUT_SHORT] is True
    assert shown.intermediate_values == {0: 1.0, 1: 2.0}
    (left,) = readable(oracle.study, pruned=False).trials
    assert (left.state, left.value) == (TrialState.PRUNED, None)


def test_failed_infeasible_and_running_trials_have_no_value():
    oracle = make_oracle(hyperparameters=space_of(mixed))
    for status in ("FAILED", "INFEASIBLE"):
        finish(oracle, oracle.create_trial("tuner"), status=status)
    oracle.create_trial("tuner")
    assert [trial.value for trial in readable(oracle.study).trials] == [None] * 3


def test_trials_of_a_warm_start_are_left_out():
    earlier = make_oracle(hyperparameters=space_of(mixed))
    run(earlier, mixed, 3)
    oracle = make_oracle(hyperparameters=space_of(mixed), seed=1)
    assert oracle.warm_start(earlier.study) == 3
    configurations = run(oracle, mixed, 2)
    shown = readable(oracle.study).trials
    assert [(trial.number, trial.params) for trial in shown] == list(enumerate(configurations))
