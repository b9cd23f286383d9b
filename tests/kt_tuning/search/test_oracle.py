"""The oracle as KerasTuner knows it, in a stock tuner and by itself."""

import math
import threading

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from keras_tuner.engine.base_tuner import BaseTuner
from optuna.trial import TrialState
from search_spaces import (
    Calculator,
    calculator,
    finish,
    make_oracle,
    mixed,
    run,
    small,
    space_of,
)

from kt_tuning.core.errors import OptionError
from kt_tuning.search import OptunaOracle
from kt_tuning.search.study.trial_states import is_infeasible


def test_a_stock_tuner_searches_without_a_word(tmp_path, capfd):
    tuner = calculator(tmp_path)
    tuner.search(verbose=0)
    best = tuner.get_best_hyperparameters()[0].values
    study = tuner.oracle.study
    assert len(study.trials) == 4
    assert best == study.best_trial.user_attrs["values"]
    assert study.best_value == tuner.oracle.get_best_trials()[0].score
    assert capfd.readouterr() == ("", "")


def test_keras_tuners_own_tuner_trains_models_with_it(tmp_path):
    def build(hp):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 3))])
        model.compile("sgd", "mse")
        return model

    oracle = OptunaOracle("random", objective="val_loss", max_trials=2, seed=0)
    tuner = keras_tuner.Tuner(oracle, build, directory=tmp_path, project_name="project")
    x, y = np.ones((8, 2)), np.ones((8, 1))
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    model = tuner.get_best_models()[0]
    best = oracle.get_best_trials()[0]
    assert model.output_shape == (None, best.hyperparameters.get("units"))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(oracle.study.best_value)


def test_stock_tuners_build_and_discover_conditional_scopes(tmp_path):
    def branches(hp):
        model = hp.Choice("model", ["cnn", "mlp"])
        with hp.conditional_scope("model", ["cnn"]):
            kernel = hp.Choice("kernel", [3, 5])
        with hp.conditional_scope("model", ["mlp"]):
            width = hp.Int("width", 8, 64, sampling="log")
        return kernel if model == "cnn" else width

    class Builder(Calculator):
        _populate_initial_space = BaseTuner._populate_initial_space

    oracle = make_oracle(max_trials=8)
    options = {"directory": tmp_path, "project_name": "scopes", "hypermodel": branches}
    Builder(branches, oracle, **options).search()
    seen = {frozenset(trial.params) for trial in oracle.study.trials}
    assert seen == {frozenset({"model", "kernel"}), frozenset({"model", "width"})}


def test_trial_zero_is_the_default_configuration_unless_told_otherwise():
    defaults = {"rate": 1e-4, "units": 8, "kind": "a", "flag": False}
    assert run(make_oracle(hyperparameters=space_of(mixed)), mixed, 1) == [defaults]
    other = make_oracle(hyperparameters=space_of(mixed), defaults_first=False)
    assert run(other, mixed, 1) != [defaults]


def test_hyperparameters_that_appear_in_a_build_join_from_the_next_trial_on():
    oracle = make_oracle(hyperparameters=space_of(small))
    trial = oracle.create_trial("tuner")
    trial.hyperparameters.Float("late", 0.0, 1.0, default=0.25)
    trial.hyperparameters.Fixed("constant", 7)
    finish(oracle, trial, 1.0)
    assert oracle.study.trials[0].params == {"a": 0, "b": 10, "late": 0.25}
    assert oracle.study.trials[0].user_attrs["values"]["constant"] == 7
    assert 0.0 <= oracle.create_trial("tuner").hyperparameters.values["late"] != 0.25


def test_the_study_knows_the_names_of_its_objectives():
    objectives = [keras_tuner.Objective(name, "min") for name in ("loss", "latency")]
    assert make_oracle(objective=objectives).study.metric_names == ["loss", "latency"]


def test_a_space_may_be_closed():
    oracle = make_oracle(hyperparameters=space_of(small), allow_new_entries=False)
    trial = oracle.create_trial("tuner")
    trial.hyperparameters.Float("late", 0.0, 1.0)
    with pytest.raises(RuntimeError, match="allow_new_entries"):
        finish(oracle, trial, 1.0)
    assert oracle.study.trials[0].state == TrialState.FAIL


def test_an_error_lets_go_of_the_lock():
    oracle = make_oracle(hyperparameters=space_of(small))
    trial = oracle.create_trial("tuner")
    with pytest.raises(OptionError, match="Missing: loss; received: accuracy"):
        oracle.update_trial(trial.trial_id, {"accuracy": 1.0})
    done = threading.Thread(target=finish, args=(oracle, trial, 1.0))
    done.start()
    done.join(timeout=60)
    assert oracle.trials[trial.trial_id].status == "COMPLETED"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_a_failure(value):
    oracle = make_oracle(hyperparameters=space_of(small), max_retries_per_trial=2)
    trial = oracle.create_trial("tuner")
    finish(oracle, trial, value)
    assert trial.status == "FAILED"
    assert trial.message == f"loss became {value}"
    assert oracle.study.trials[0].state == TrialState.FAIL
    assert oracle.create_trial("tuner").trial_id != trial.trial_id


def test_an_invalid_trial_is_run_again_as_often_as_asked():
    oracle = make_oracle(hyperparameters=space_of(small), max_retries_per_trial=1)
    first = oracle.create_trial("tuner")
    finish(oracle, first, status="INVALID")
    second = oracle.create_trial("tuner")
    assert (second.trial_id, second.status) == (first.trial_id, "RUNNING")
    finish(oracle, second, status="INVALID")
    assert second.status == "FAILED"
    assert oracle.create_trial("tuner").trial_id != first.trial_id


def test_an_infeasible_trial_is_failed_for_kerastuner_and_a_lesson_for_optuna():
    oracle = make_oracle("tpe", hyperparameters=space_of(mixed))
    trial = oracle.create_trial("tuner")
    trial.message = "9,000,000 parameters, 5,000,000 allowed"
    finish(oracle, trial, status="INFEASIBLE")
    frozen = oracle.study.trials[0]
    assert (trial.status, frozen.state) == ("FAILED", TrialState.PRUNED)
    assert is_infeasible(frozen)
    assert frozen.user_attrs["result"] == {"message": trial.message}


def test_the_study_says_what_came_of_each_trial():
    oracle = make_oracle(hyperparameters=space_of(small))
    trial = oracle.create_trial("tuner")
    oracle.report(trial.trial_id, 0, 3.0)
    oracle.report(trial.trial_id, 1, 2.0)
    oracle.update_trial(trial.trial_id, {"loss": 2.0, "accuracy": 0.75}, step=1)
    trial.status, trial.message = "COMPLETED", "stopped early"
    oracle.end_trial(trial)
    frozen = oracle.study.trials[0]
    assert frozen.user_attrs == {
        "trial_id": trial.trial_id,
        "values": {"a": 0, "b": 10},
        "result": {
            "metrics": {"loss": 2.0, "accuracy": 0.75},
            "best_step": 1,
            "message": "stopped early",
        },
    }
    assert frozen.intermediate_values == {0: 3.0, 1: 2.0}


def test_trials_of_a_sampler_of_ones_own_that_ends_the_study():
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        sampler = optuna.samplers.BruteForceSampler(seed=0)
    assert len(run(make_oracle(sampler, hyperparameters=space_of(small)), small, 20)) == 6


def test_the_study_knows_the_trials_that_no_other_one_beats():
    objectives = [keras_tuner.Objective("accuracy", "max"), keras_tuner.Objective("seconds", "min")]
    oracle = make_oracle(objective=objectives, hyperparameters=space_of(mixed))
    for value in ((0.9, 5.0), (0.8, 1.0), (0.8, 2.0), (0.95, 9.0), (0.7, 1.0)):
        finish(oracle, oracle.create_trial("tuner"), value)
    assert [t.values for t in oracle.study.best_trials] == [[0.9, 5.0], [0.8, 1.0], [0.95, 9.0]]
    assert oracle.get_best_trials()[0].score == 1.0 - 0.8


def test_optunas_plots_work_on_the_study():
    import matplotlib

    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as plots

    oracle = make_oracle("tpe", hyperparameters=space_of(mixed))
    run(oracle, mixed, 12)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        axes = plots.plot_optimization_history(oracle.study)
    assert len(axes.collections[0].get_offsets()) == 12
    assert set(optuna.importance.get_param_importances(oracle.study)) == {
        "rate",
        "units",
        "kind",
        "flag",
    }
