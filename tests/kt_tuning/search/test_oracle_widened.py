"""A space that was widened after some trials: all of it is drawn from, and learned from."""

import importlib.util

import keras_tuner
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from search_spaces import Calculator, make_oracle, run

from kt_tuning.search import STRATEGIES


def space(units, most, *, log=False):
    hp = keras_tuner.HyperParameters()
    hp.Choice("units", units)
    hp.Int("depth", 1, most, sampling="log" if log else "linear")
    return hp


def cost(hp):
    return abs(hp.get("units") - 16) + hp.get("depth")


def oracle_in(directory, hyperparameters, strategy="random"):
    oracle = make_oracle(strategy, max_trials=60, hyperparameters=hyperparameters)
    oracle._set_project_dir(directory, "project")
    return oracle


INSTALLED = [name for name in STRATEGIES if name != "cmaes" or importlib.util.find_spec("cmaes")]


@pytest.mark.parametrize("strategy", INSTALLED)
def test_every_strategy_draws_what_is_new(strategy, tmp_path):
    run(oracle_in(tmp_path, space([4, 8], 2), strategy), cost, 4)
    wider = oracle_in(tmp_path, space([4, 8, 16], 12), strategy)
    found = run(wider, cost, 40)
    assert len(wider.trials) == 4 + len(found)
    assert any(values["units"] == 16 for values in found)
    assert any(values["depth"] > 2 for values in found)


def test_earlier_trials_are_read_in_the_wider_space(tmp_path):
    run(oracle_in(tmp_path, space([4, 8], 2)), cost, 4)
    wider = oracle_in(tmp_path, space([4, 8, 16], 3))
    run(wider, cost, 4)
    units, depth = CategoricalDistribution((4, 8, 16)), IntDistribution(1, 3)
    assert len(wider.study.trials) == 8
    for trial in wider.study.trials:
        assert trial.distributions == {"units": units, "depth": depth}
        assert trial.params == trial.user_attrs["values"]


@pytest.mark.parametrize(
    ("wider", "stored"),
    [
        (space([4, 8, 16], 3), {"units {4, 8, 16}", "depth"}),
        (space([4, 8], 2, log=True), {"units", "depth (int, log)"}),
    ],
)
def test_a_parameter_that_optuna_would_refuse_is_stored_under_another_name(wider, stored, tmp_path):
    run(oracle_in(tmp_path, space([4, 8], 2)), cost, 2)
    run(oracle_in(tmp_path, wider), cost, 2)
    again = oracle_in(tmp_path, wider)
    run(again, cost, 1)
    url = f"sqlite:///{tmp_path / 'project' / 'study.db'}"
    study = optuna.load_study(study_name="search", storage=url)
    assert [set(trial.params) for trial in study.trials[2:]] == [stored] * (len(study.trials) - 2)
    assert [trial.params for trial in again.study.trials] == [
        trial.user_attrs["values"] for trial in study.trials
    ]


def test_what_a_trial_found_out_is_kept_beside_a_given_space(tmp_path):
    def late(hp):
        return hp.Int("late", 1, 3) + hp.get("depth")

    class Late(Calculator):
        def _populate_initial_space(self):
            pass

    for count in (1, 3):
        oracle = make_oracle(max_trials=count, hyperparameters=space([4, 8], 2))
        Late(late, oracle, directory=tmp_path, project_name="project").search()
    assert {hp.name for hp in oracle.get_space().space} == {"units", "depth", "late"}
