"""The options of `kt-tuning run` that are about training reach the recipe."""

import contextlib
import sys
from types import SimpleNamespace

import pytest

from kt_tuning import pipeline
from kt_tuning.cli import main
from kt_tuning.pipeline import RunOptions


class SearchBeginsError(Exception):
    """It would, with the recipe that this holds."""


def run_options(monkeypatch, stripes, tmp_path, *arguments):
    """What `run` makes of a command line."""
    given = []

    def noted(data, out, options, **more):
        given.append(options)
        return SimpleNamespace(scores="", correction=None, export="", report="", refit=None)

    monkeypatch.setattr("kt_tuning.data.load_images", lambda folder, **options: stripes)
    monkeypatch.setattr(pipeline, "run", noted)
    monkeypatch.setattr(sys, "argv", ["kt-tuning", "run", "photos", *arguments])
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(SystemExit):
        main()
    return given[0]


def recipe_of(monkeypatch, stripes, tmp_path, options):
    """The recipe of the tuner that a run makes."""

    def stopped(hypermodel, **arguments):
        raise SearchBeginsError(arguments["recipe"])

    monkeypatch.setattr(pipeline, "Tuner", stopped)
    with pytest.raises(SearchBeginsError) as found:
        pipeline.run(stripes, tmp_path / "run", options)
    return found.value.args[0]


def test_options_of_training_are_passed_on(monkeypatch, stripes, tmp_path):
    arguments = ["--max-batch-size", "128", "--max-batch-size", "256"]
    arguments += ["--balance", "none", "--balance", "sampling", "--precision", "auto"]
    options = run_options(monkeypatch, stripes, tmp_path, *arguments)
    assert options.max_batch_size == (128, 256)
    assert options.balance == ("none", "sampling")
    assert options.precision == "auto"


def test_without_them_training_is_plain(monkeypatch, stripes, tmp_path):
    options = run_options(monkeypatch, stripes, tmp_path)
    plain = RunOptions()
    for name in ("max_batch_size", "balance", "precision"):
        assert getattr(options, name) == getattr(plain, name)


def test_the_recipe_has_what_was_asked_for(monkeypatch, stripes, tmp_path):
    options = RunOptions(
        max_batch_size=(128, 256), balance=("sampling",), precision="mixed_bfloat16"
    )
    recipe = recipe_of(monkeypatch, stripes, tmp_path, options)
    assert recipe.max_batch_size == (128, 256)
    assert recipe.plan({}).balance == "sampling"
    assert recipe.precision == "mixed_bfloat16"
