"""One declaration of each option: the command line, the tuner and the recipe agree with it."""

import dataclasses
import inspect

import pytest

from kt_tuning import Recipe, Tuner
from kt_tuning.cli.run import run
from kt_tuning.ensembling import COST_PENALTY
from kt_tuning.run_options import CALL, RECIPE, TUNER, RunOptions

FIELDS = dataclasses.fields(RunOptions)
OTHER_DEFAULTS = {"objective", "max_trials", "track", "epochs", "verbose"}
"""Several values on the command line; limits that are chosen by `RunOptions.limited`; and what the
tuner decides for itself where it follows KerasTuner."""


@pytest.mark.parametrize(
    ("sets", "callee"), [(TUNER, Tuner), (RECIPE, Recipe), (CALL, Tuner.search)]
)
def test_an_option_has_the_default_of_the_argument_that_it_sets(sets, callee):
    parameters = inspect.signature(callee).parameters
    fields = [field for field in FIELDS if field.metadata.get("sets") == sets]
    assert {field.metadata.get("argument", field.name) for field in fields} <= parameters.keys()
    for field in fields:
        default = parameters[field.metadata.get("argument", field.name)].default
        value = field.default[0] if isinstance(field.default, tuple) and field.default else default
        if field.name not in OTHER_DEFAULTS and field.name != "augment":
            assert default == (value if isinstance(field.default, tuple) else field.default)


def test_every_option_is_on_the_command_line_with_its_help_text():
    parameters = inspect.signature(run).parameters
    for field in FIELDS:
        if field.metadata.get("flag") != "":
            name = field.metadata.get("shell_name", field.name)
            assert parameters[name].annotation.__metadata__[0].help == field.metadata["help"]


def test_every_option_is_documented_in_python():
    for field in FIELDS:
        assert f"{field.name}: {field.metadata['help']}" in RunOptions.__doc__


def test_the_cost_penalty_is_that_of_ensembles():
    assert RunOptions().cost_penalty == COST_PENALTY


def test_options_of_an_older_run_directory_are_read():
    options = RunOptions.from_json({"price": 0.1, "epochs": 7, "gone": True})
    assert options == RunOptions(cost_penalty=0.1, epochs=7)
