import keras_tuner
import optuna
import pytest
from search_spaces import Calculator, finish, make_oracle, mixed, run, space_of

from kt_tuning.core.errors import OptionError, SearchError, StorageError


def earlier(hp):
    """`mixed` with wider units and without `flag`."""
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 128, step=8)
    hp.Choice("kind", ["a", "b", "c"])


def configured(values, score, space=earlier):
    oracle = make_oracle(hyperparameters=space_of(space), defaults_first=False)
    for some in values:
        oracle.enqueue(some)
        finish(oracle, oracle.create_trial("tuner"), score)
    return oracle.study


def test_earlier_trials_teach_but_do_not_count():
    source = configured([{"rate": 0.01, "units": 16, "kind": "b"}], 0.5)
    oracle = make_oracle(hyperparameters=space_of(mixed), max_trials=2)
    assert oracle.warm_start(source) == 1
    assert len(run(oracle, mixed, 5)) == 2
    adopted = oracle.study.trials[0]
    assert adopted.params == {"rate": 0.01, "units": 16, "kind": "b", "flag": False}
    assert adopted.value == 0.5
    assert list(oracle.trials) == ["0", "1"]


def test_a_trial_that_is_now_out_of_range_is_left_out():
    source = configured([{"units": 16}, {"units": 128}], 0.5)
    oracle = make_oracle(hyperparameters=space_of(mixed))
    assert oracle.warm_start(source) == 1


def test_twice_is_once():
    source = configured([{"units": 16}], 0.5)
    oracle = make_oracle(hyperparameters=space_of(mixed))
    assert [oracle.warm_start(source), oracle.warm_start(source)] == [1, 0]


def test_a_run_directory_or_its_file_is_a_source(tmp_path):
    oracle = make_oracle(max_trials=3)
    Calculator(mixed, oracle, directory=tmp_path, project_name="old").search()
    for source in (tmp_path / "old", str(tmp_path / "old" / "study.db")):
        assert make_oracle(hyperparameters=space_of(mixed)).warm_start(source) == 3


def test_the_gaussian_process_starts_from_what_is_known():
    good = [{"rate": 0.01, "units": units, "kind": "b"} for units in (24, 32, 40)]
    bad = [{"rate": 0.1, "units": units, "kind": "c"} for units in range(8, 65, 8)]
    source = configured(good, 0.0)
    oracle = make_oracle("gp", hyperparameters=space_of(mixed), defaults_first=False)
    oracle.warm_start(source)
    oracle.warm_start(configured_under("bad", bad, 1.0))
    values = oracle.create_trial("tuner").hyperparameters.values
    assert values["kind"] != "c"


def configured_under(name, values, score):
    study = optuna.create_study(study_name=name)
    for trial in configured(values, score).trials:
        study.add_trial(trial)
    return study


def test_other_objectives_are_refused():
    source = configured([{"units": 16}], 0.5)
    other = keras_tuner.Objective("accuracy", "max")
    oracle = make_oracle(hyperparameters=space_of(mixed), objective=other)
    with pytest.raises(OptionError, match="needs a search for the same objectives"):
        oracle.warm_start(source)


def test_a_missing_study_is_explained(tmp_path):
    oracle = make_oracle(hyperparameters=space_of(mixed))
    with pytest.raises(StorageError, match="There is no study in"):
        oracle.warm_start(tmp_path)


def test_the_space_has_to_be_known():
    with pytest.raises(SearchError, match="make the tuner before"):
        make_oracle().warm_start(configured([{"units": 16}], 0.5))
