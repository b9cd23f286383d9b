"""Configurations that are asked for."""

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

from kt_tuning.core.errors import OptionError
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
