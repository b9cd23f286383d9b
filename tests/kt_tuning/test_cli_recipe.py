"""The options of `kt-tuning run` that are about training reach the recipe and the hypermodel."""

import contextlib
import dataclasses
import sys
from types import SimpleNamespace

import pytest

from kt_tuning import pipeline
from kt_tuning.cli import main
from kt_tuning.core.errors import OptionError
from kt_tuning.pipeline import RunOptions


class SearchBeginsError(Exception):
    """It would, with the hypermodel and the recipe that this holds."""


def run_options(monkeypatch, stripes, tmp_path, *arguments):
    """What `run` makes of a command line."""
    given = []

    def noted(data, out, options, **more):
        given.append(options)
        return SimpleNamespace(scores="", correction=None, export="", report="", warning=None)

    monkeypatch.setattr("kt_tuning.data.load_images", lambda folder, **options: stripes)
    monkeypatch.setattr(pipeline, "run", noted)
    monkeypatch.setattr(sys, "argv", ["kt-tuning", "run", "photos", *arguments])
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(SystemExit):
        main()
    return given[0]


def made_of(monkeypatch, stripes, tmp_path, options):
    """The hypermodel and the recipe of the tuner that a run makes."""

    def stopped(hypermodel, **arguments):
        raise SearchBeginsError(hypermodel, arguments["recipe"])

    monkeypatch.setattr("kt_tuning.pipeline.make_tuner.PipelineTuner", stopped)
    with pytest.raises(SearchBeginsError) as found:
        pipeline.run(stripes, tmp_path / "run", options)
    return found.value.args


def test_options_of_training_are_passed_on(monkeypatch, stripes, tmp_path):
    arguments = ["--max-batch-size", "128", "--max-batch-size", "256"]
    arguments += ["--balance", "none", "--balance", "sampling", "--precision", "auto"]
    options = run_options(monkeypatch, stripes, tmp_path, *arguments)
    assert options.max_batch_size == (128, 256)
    assert options.balance == ("none", "sampling")
    assert options.precision == "auto"


def test_where_it_is_kept_is_passed_on_and_written_without_the_password(
    monkeypatch, stripes, tmp_path
):
    url = "postgresql://user:secret@host/name"
    options = run_options(monkeypatch, stripes, tmp_path, "--storage", url, "--track", "csv")
    assert (options.storage, options.track) == (url, ("csv",))
    assert options.without_password() == dataclasses.replace(
        options, storage="postgresql://user@host/name"
    )


def test_without_options_all_is_as_in_python_but_the_workers(monkeypatch, stripes, tmp_path):
    options = run_options(monkeypatch, stripes, tmp_path)
    assert options == RunOptions(workers="auto")


def test_an_impossible_cost_penalty_is_refused_before_the_search(stripes, tmp_path):
    with pytest.raises(OptionError, match=r"from 0 to less than 1\. Received: 1\.0"):
        pipeline.run(stripes, tmp_path / "run", RunOptions(cost_penalty=1.0))


def test_the_recipe_has_what_was_asked_for(monkeypatch, stripes, tmp_path):
    options = RunOptions(
        hypermodel=("mlp",),
        max_batch_size=(128, 256),
        balance=("sampling",),
        precision="mixed_bfloat16",
    )
    _, recipe = made_of(monkeypatch, stripes, tmp_path, options)
    assert recipe.max_batch_size == (128, 256)
    assert recipe.plan({}).balance == "sampling"
    assert recipe.precision == "mixed_bfloat16"


def test_pixels_are_standardised_by_the_training_images_if_asked_for(
    monkeypatch, stripes, tmp_path
):
    asked = RunOptions(hypermodel=("convnet",), normalize=True)
    hypermodel, _ = made_of(monkeypatch, stripes, tmp_path, asked)
    assert hypermodel.normalization == stripes.pixel_statistics()
    plain, _ = made_of(monkeypatch, stripes, tmp_path, RunOptions(hypermodel=("mlp", "vit")))
    assert plain.members["mlp"].normalization is None
    assert run_options(monkeypatch, stripes, tmp_path, "--normalize").normalize


def test_a_storage_in_a_file_of_options_has_to_be_named_as_well(
    monkeypatch, stripes, tmp_path, capsys
):
    url = "postgresql://user@host/name"
    (tmp_path / "theirs.yaml").write_text(f"storage: {url}")
    arguments = (monkeypatch, stripes, tmp_path, "--config", "theirs.yaml")
    monkeypatch.delenv("KT_TUNING_STORAGE", raising=False)
    with pytest.raises(IndexError):
        run_options(*arguments)
    assert f"theirs.yaml names the storage '{url}', which is not opened" in capsys.readouterr().err
    assert run_options(*arguments, "--storage", url).storage == url
    monkeypatch.setenv("KT_TUNING_STORAGE", url)
    assert run_options(*arguments).storage == url
