"""Configurations that are enqueued, and trials of an earlier search."""

import keras_tuner
import optuna
import pytest
from search_spaces import (
    Calculator,
    calculator,
    conditional,
    finish,
    make_oracle,
    mixed,
    run,
    small,
    space_of,
)

from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.search.proposer import Restriction


def test_enqueued_values_come_next_and_survive_a_restart(tmp_path):
    oracle = calculator(tmp_path, conditional, name="queue").oracle
    oracle.enqueue({"model": "cnn", "units": 3})
    oracle.enqueue({"model": "mlp", "units": 400})
    assert oracle.create_trial("one").hyperparameters.values["units"] == 1
    assert oracle.create_trial("two").hyperparameters.values["units"] == 3
    again = calculator(tmp_path, conditional, name="queue").oracle
    again.reload()
    values = [again.create_trial(f"other{n}").hyperparameters.values for n in range(3)]
    assert values[2] == {"model": "mlp", "units": 400}
    assert again.study.trials[2].params == {"model": "mlp", "units [model=mlp]": 400}


def test_wrong_values_are_not_enqueued():
    oracle = make_oracle(hyperparameters=space_of(small))
    with pytest.raises(OptionError, match="a whole number from 0 to 2"):
        oracle.enqueue({"a": 3})


def test_optunas_own_queue_is_refused():
    oracle = make_oracle(hyperparameters=space_of(small))
    with pytest.raises(OptionError, match="use `enqueue`"):
        oracle.study.enqueue_trial({"a": 1})


ASKED = {"rate": 0.01, "units": 32}


def test_what_is_enqueued_first_comes_right_after_the_defaults():
    oracle = make_oracle(hyperparameters=space_of(mixed))
    oracle.enqueue(ASKED)
    defaults, asked, drawn = run(oracle, mixed, 3)
    assert defaults["units"] == 8
    assert {name: asked[name] for name in ASKED} == ASKED
    assert drawn["rate"] != 0.01


def test_without_defaults_it_is_the_first():
    oracle = make_oracle(hyperparameters=space_of(mixed), defaults_first=False)
    oracle.enqueue(ASKED)
    assert run(oracle, mixed, 1)[0]["units"] == 32


def test_the_study_of_an_oracle_that_has_no_tuner_yet_is_in_its_project_all_the_same(tmp_path):
    oracle = make_oracle(max_trials=2, hyperparameters=space_of(mixed))
    oracle.enqueue(ASKED)
    Calculator(mixed, oracle, directory=tmp_path, project_name="project").search()
    assert (tmp_path / "project" / "study.db").exists()
    assert oracle.trials["1"].hyperparameters.get("units") == 32


def test_values_wait_for_a_space_that_trials_find_out(tmp_path):
    class Discoverer(Calculator):
        def _populate_initial_space(self):
            pass

    oracle = make_oracle(max_trials=2)
    tuner = Discoverer(mixed, oracle, directory=tmp_path, project_name="project")
    oracle.enqueue(ASKED)
    tuner.search()
    assert oracle.trials["0"].hyperparameters.get("units") == 8
    assert oracle.trials["1"].hyperparameters.get("units") == 32


def test_values_that_turn_out_wrong_are_refused_before_the_first_trial(tmp_path):
    oracle = make_oracle()
    oracle.enqueue({"units": 7})
    tuner = Calculator(mixed, oracle, directory=tmp_path, project_name="project")
    with pytest.raises(OptionError, match="'units' should be a whole number from 8 to 64"):
        tuner.search()
    assert tuner.run == []


def test_a_script_that_is_run_again_asks_for_nothing_new(tmp_path):
    configurations = []
    for count in (1, 2, 4):
        tuner = calculator(tmp_path, max_trials=count)
        tuner.oracle.enqueue(ASKED)
        tuner.search()
        configurations = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert [values["units"] == 32 and values["rate"] == 0.01 for values in configurations] == [
        False,
        True,
        False,
        False,
    ]


def test_what_was_tried_is_passed_over_even_if_it_failed():
    oracle = make_oracle(hyperparameters=space_of(small))
    oracle.enqueue({"a": 1, "b": 20})
    finish(oracle, oracle.create_trial("tuner"), 1.0)
    failed = oracle.create_trial("tuner")
    assert failed.hyperparameters.values == {"a": 1, "b": 20}
    finish(oracle, failed, status="FAILED")
    oracle.enqueue({"b": 20, "a": 1})
    oracle.enqueue({"a": 0, "b": 10})
    oracle.enqueue({"a": 2})
    rest = run(oracle, small, 10)
    assert rest[0]["a"] == 2
    assert len(rest) == 4
    assert {"a": 1, "b": 20} not in rest


def two_families(hp):
    chosen = hp.Choice("family", ["cheap", "dear"])
    hp.Int(f"{chosen}/units", 0, 99)


def family(oracle, tuner_id, **options):
    return oracle.create_trial(tuner_id, **options).hyperparameters.values["family"]


def test_what_is_enqueued_waits_as_long_as_there_is_no_time_for_its_family():
    oracle = make_oracle(hyperparameters=space_of(two_families))
    oracle.enqueue({"family": "dear"})
    assert family(oracle, "one") == "cheap"
    cheap = Restriction(affordable=["cheap"], preferred=["cheap"])
    assert family(oracle, "two", restriction=cheap) == "cheap"
    assert family(oracle, "three") == "dear"


def test_a_sampler_chooses_among_the_preferred_families_only():
    oracle = make_oracle(hyperparameters=space_of(two_families))
    dear = Restriction(affordable=["cheap", "dear"], preferred=["dear"])
    found = [family(oracle, str(number), restriction=dear) for number in range(6)]
    assert found == ["cheap", *["dear"] * 5]
    nothing = Restriction(affordable=[], preferred=[])
    assert oracle.create_trial("last", restriction=nothing).status == "STOPPED"


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
