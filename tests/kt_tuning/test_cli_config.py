"""Options as YAML: `kt-tuning config`, `run --config` and what `run` writes."""

import inspect
from pathlib import Path
from typing import Annotated

import pytest
import typer
import yaml

from kt_tuning.cli.config import as_asked, as_yaml, read_config, read_mapping
from kt_tuning.cli.run import config, run
from kt_tuning.core.errors import KtTuningError


def test_config_prints_every_option_of_run_with_its_default_and_meaning(capsys):
    config()
    printed = capsys.readouterr().out
    expected = {
        name: None if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in inspect.signature(run).parameters.items()
        if name != "config"
    }
    assert yaml.safe_load(printed) == expected
    assert "# Number of candidates for the ensemble.\nensemble_size: 5\n" in printed
    assert "Default: 20 without a time limit." in printed


@pytest.fixture
def verb():
    """A command that remembers what it was called with."""
    app, calls = typer.Typer(pretty_exceptions_enable=False), []

    @app.command()
    def search(
        folder: Annotated[Path, typer.Argument(help="Images.")],
        mixup: Annotated[list[float] | None, typer.Option(help="α.")] = None,
        epochs: Annotated[int, typer.Option(help="Epochs.")] = 30,
        time_limit: Annotated[str | None, typer.Option(help="Time.")] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help="Quiet.")] = False,
        config: Annotated[
            Path | None, typer.Option(help="YAML.", is_eager=True, callback=read_config)
        ] = None,
    ) -> None:
        del config
        calls.append(dict(locals()))

    def call(*arguments):
        app(list(map(str, arguments)), standalone_mode=False)
        found = calls.pop()
        return {name: found[name] for name in inspect.signature(search).parameters if name in found}

    call.function = search
    return call


def write(folder, text):
    path = folder / "options.yaml"
    path.write_text(text)
    return path


def test_options_come_from_the_file_and_the_command_line_counts_more(verb, tmp_path):
    path = write(tmp_path, "folder: photos\nmixup: [0.1, 1]\nepochs: 5\ntime-limit: 90\nquiet: yes")
    assert verb("--config", path) == {
        "folder": Path("photos"),
        "mixup": [0.1, 1.0],
        "epochs": 5,
        "time_limit": "90",
        "quiet": True,
    }
    called = verb("other", "--epochs", 7, "--config", path)
    assert (called["folder"], called["epochs"], called["quiet"]) == (Path("other"), 7, True)


def test_what_was_written_is_read_as_it_was(verb, tmp_path):
    values = {
        "folder": Path("a folder: with, a colon"),
        "mixup": [1e-5, 0.25],
        "epochs": 3,
        "time_limit": "1h30m",
        "quiet": False,
    }
    path = write(tmp_path, as_yaml(verb.function, values))
    assert verb("--config", path) == values


def test_null_is_the_default(verb, tmp_path):
    path = write(tmp_path, "folder: photos\nepochs: null\nmixup: null\n")
    assert verb("--config", path)["epochs"] == 30
    assert verb("--config", path)["mixup"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "no option 'epoch'. Did you mean 'epochs'?"),
        ("[1, 2]", "should be a YAML mapping"),
        ("epochs: [1, 2", "is not valid YAML"),
        ("epochs: [1, 2]", r"epochs takes one value. Received: \[1, 2\]"),
        ("quiet: 3", "quiet should be true or false. Received: 3"),
        ("time_limit: {minutes: 3}", "should be a number or text"),
        ("time_limit: true", "should be a number or text"),
        ("config: other.yaml", "no option 'config'"),
        ("a: &a [x]\nmixup: [*a, *a]", r"the alias \*a: write the value out"),
        ("mixup: " + 5000 * "[", "is nested too deeply"),
        ("epochs: 2026-02-30", "is not valid YAML: day is out of range"),
    ],
)
def test_wrong_files_are_refused(verb, tmp_path, text, message):
    with pytest.raises(KtTuningError, match=message):
        verb("--config", write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(verb, tmp_path):
    with pytest.raises(KtTuningError, match=r"Cannot read .*nowhere\.yaml"):
        verb("photos", "--config", tmp_path / "nowhere.yaml")


def test_what_run_writes_is_what_came_of_its_options(tmp_path):
    from kt_tuning.pipeline import RunOptions

    defaults = inspect.signature(run).parameters
    given = {name: parameter.default for name, parameter in defaults.items()}
    given |= {"folder": Path("photos"), "overwrite": True, "fix": ["norm=batch"]}
    narrowed = {"units": [16, 32], "rate": {"min": 0.001}}
    options = RunOptions(epochs=7, workers=3, mixup=(0.0, 0.2), hyperparameters=narrowed)
    files = as_asked(run, given, tmp_path / "run", options)
    assert sorted(files) == ["config.yaml", "space.yaml"]
    written = yaml.safe_load(files["config.yaml"])
    assert written["folder"] == str(Path("photos").resolve())
    assert written["out"] == str(tmp_path / "run")
    assert (written["epochs"], written["workers"], written["mixup"]) == (7, 3, [0.0, 0.2])
    limits = (written["max_trials"], written["time_limit"])
    assert (*limits, written["hypermodel"]) == (None, "5m", ["auto"])
    assert written["fix"] == ["norm=batch"]
    assert written["overwrite"] is False
    assert written["hyperparameters"] == str(tmp_path / "run" / "space.yaml")
    assert read_mapping(write(tmp_path, files["space.yaml"])) == narrowed
    server = RunOptions(storage="mysql://user:secret@host/name", objective=("val_f1",))
    text = as_asked(run, given, tmp_path, server)["config.yaml"]
    assert yaml.safe_load(text)["storage"] == "mysql://user@host/name"
    assert "password is taken from KT_TUNING_STORAGE_PASSWORD" in " ".join(text.split("\n# "))
    (only,) = as_asked(run, given, tmp_path, RunOptions()).items()
    assert only[0] == "config.yaml"
    assert yaml.safe_load(only[1])["hyperparameters"] is None
