"""Searches that go on from an earlier one, in the same space or a wider one."""

import importlib.util
import json
import math

import keras_tuner
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState
from search_spaces import Calculator, calculator, finish, make_oracle, mixed, run, space_of

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.search import STRATEGIES


def test_a_search_goes_on_where_it_ended(tmp_path):
    calculator(tmp_path).search()
    again = calculator(tmp_path, max_trials=6)
    again.search()
    assert again.run == ["4", "5"]
    assert again.oracle.start_order == ["0", "1", "2", "3", "4", "5"]


def test_the_study_is_the_truth_when_kerastuners_files_are_damaged(tmp_path):
    first = calculator(tmp_path)
    first.search()
    project = tmp_path / "project"
    (project / "oracle.json").write_text("{")
    (project / "trial_1" / "trial.json").write_text("")
    (project / "trial_2" / "trial.json").unlink()
    again = calculator(tmp_path, max_trials=5)
    again.search()
    assert again.run == ["4"]
    for trial_id, trial in first.oracle.trials.items():
        restored = again.oracle.trials[trial_id]
        assert restored.score == trial.score
        assert restored.hyperparameters.values == trial.hyperparameters.values
        assert restored.status == "COMPLETED"


def test_running_trials_are_handed_out_again(tmp_path):
    first = calculator(tmp_path).oracle
    finish(first, first.create_trial("tuner"), 1.0)
    lost = [first.create_trial(f"worker{n}") for n in range(2)]
    again = calculator(tmp_path).oracle
    again.reload()
    found = [again.create_trial(f"other{n}") for n in range(2)]
    assert [t.trial_id for t in found] == [t.trial_id for t in lost]
    assert [t.hyperparameters.values for t in found] == [t.hyperparameters.values for t in lost]
    assert len(again.study.trials) == 3


def test_what_two_workers_were_running_one_gets_after_an_interruption(tmp_path):
    oracle = calculator(tmp_path).oracle
    lost = [oracle.create_trial(f"worker{n}").trial_id for n in range(2)]
    oracle.reload()
    found = []
    for _ in range(2):
        trial = oracle.create_trial("worker0")
        found.append(trial.trial_id)
        finish(oracle, trial, 1.0)
    assert found == lost


class Killed(BaseException):
    pass


class Mortal(optuna.storages.InMemoryStorage):
    """A database whose client is killed before the write number `life`, counted from 0."""

    def __init__(self):
        super().__init__()
        self.life = math.inf

    def _live(self):
        self.life -= 1
        if self.life < 0:
            raise Killed

    def create_new_trial(self, *args, **options):
        self._live()
        return super().create_new_trial(*args, **options)

    def set_trial_param(self, *args):
        self._live()
        super().set_trial_param(*args)

    def set_trial_state_values(self, *args, **options):
        self._live()
        return super().set_trial_state_values(*args, **options)

    def set_trial_intermediate_value(self, *args):
        self._live()
        super().set_trial_intermediate_value(*args)

    def set_trial_user_attr(self, *args):
        self._live()
        super().set_trial_user_attr(*args)

    def set_study_user_attr(self, *args):
        self._live()
        super().set_study_user_attr(*args)


def test_a_kill_between_any_two_writes_changes_nothing():
    def search(storage):
        oracle = make_oracle(max_trials=4, storage=storage, hyperparameters=space_of(mixed))
        oracle.enqueue({"units": 40})
        while (trial := oracle.create_trial("tuner")).status == "RUNNING":
            value = mixed(trial.hyperparameters)
            oracle.report(trial.trial_id, 0, value)
            finish(oracle, trial, value)
        return [trial.hyperparameters.values for trial in oracle.trials.values()]

    undisturbed = search(Mortal())
    kills = 0
    while True:
        storage = Mortal()
        storage.life = kills
        try:
            search(storage)
            break
        except Killed:
            kills += 1
        storage.life = math.inf
        assert search(storage) == undisturbed
        states = [trial.state for trial in storage.get_all_trials(0)]
        assert states == [TrialState.COMPLETE] * 4
    # Four trials: to begin, to report, the result, to end; and what the study itself notes.
    assert kills >= 4 * 4


def test_a_trial_costs_three_transactions_and_one_an_epoch():
    storage = Mortal()
    oracle = make_oracle(storage=storage, hyperparameters=space_of(mixed))
    run(oracle, mixed, 1)
    storage.life = 3 + 2
    trial = oracle.create_trial("tuner")
    for epoch in range(2):
        oracle.report(trial.trial_id, epoch, 1.0)
    finish(oracle, trial, 1.0)
    assert storage.life == 0


def test_a_study_that_was_opened_elsewhere_is_not_lost_in_silence(tmp_path):
    oracle = make_oracle(hyperparameters=space_of(mixed))
    assert oracle.study.trials == []
    with pytest.raises(SearchError, match="make the tuner before using `study`"):
        Calculator(mixed, oracle, directory=tmp_path, project_name="project")


def test_overwrite_leaves_a_storage_of_ones_own_alone(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    calculator(tmp_path, storage=storage, max_trials=2).search()
    calculator(tmp_path, name="other", storage=storage, max_trials=1).search()
    again = calculator(tmp_path, storage=storage, max_trials=3, overwrite=True)
    again.search()
    assert again.run == ["2"]
    assert {s.study_name: s.n_trials for s in optuna.get_all_study_summaries(storage)} == {
        "project": 3,
        "other": 1,
    }


def test_overwrite_starts_anew(tmp_path):
    calculator(tmp_path).search()
    tuner = calculator(tmp_path, overwrite=True)
    tuner.search()
    assert tuner.run == ["0", "1", "2", "3"]


def test_another_objective_in_the_same_project_is_refused(tmp_path):
    calculator(tmp_path).search()
    with pytest.raises(StorageError, match=r"holds a search for \[\['loss', 'min'\]\]"):
        calculator(tmp_path, objective=keras_tuner.Objective("accuracy", "max"))


def test_any_storage_holds_the_study(tmp_path):
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    for storage in (url, tmp_path / "elsewhere.db", optuna.storages.InMemoryStorage()):
        oracle = make_oracle(hyperparameters=space_of(mixed), storage=storage)
        run(oracle, mixed, 2)
    loaded = optuna.load_study(study_name=None, storage=url)
    assert len(loaded.trials) == 4


def test_a_damaged_study_is_explained(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "study.db").write_text("not a database, but long enough to be one")
    with pytest.raises(StorageError, match="restore it from a copy; or move it away"):
        calculator(tmp_path).search()


def test_a_random_seed_is_kept_for_the_next_run(tmp_path):
    first = calculator(tmp_path, seed=None)
    first.search()
    again = calculator(tmp_path, seed=None)
    again.oracle.reload()
    assert again.oracle.seed == first.oracle.seed


def test_infeasible_and_pruned_trials_are_told_apart_after_a_restart(tmp_path):
    oracle = calculator(tmp_path, pruner="median").oracle
    finish(oracle, oracle.create_trial("tuner"), status="INFEASIBLE")
    for value in (1.0, 1.0, 1.0, 1.0, 1.0, 9.0):
        trial = oracle.create_trial("tuner")
        if trial.status == "STOPPED":
            break
        oracle.report(trial.trial_id, 0, value)
        finish(oracle, trial, value)
    again = calculator(tmp_path).oracle
    again.reload()
    assert [t.status for t in again.trials.values()] == [t.status for t in oracle.trials.values()]


def test_kerastuner_reads_the_files(tmp_path):
    tuner = calculator(tmp_path)
    tuner.search()
    stock = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("loss", "min"), max_trials=4
    )
    stock._set_project_dir(tmp_path, "project")
    stock.reload()
    assert stock.get_best_trials()[0].score == tuner.oracle.get_best_trials()[0].score


def test_json_files_are_whole(tmp_path):
    # Metrics may be of NumPy's types, of which json knows none but float64.
    calculator(tmp_path, lambda hp: np.float32(mixed(hp))).search()
    for path in (tmp_path / "project").rglob("*.json"):
        assert isinstance(json.loads(path.read_text()), dict)
    assert not list((tmp_path / "project").rglob("writing.*"))


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
