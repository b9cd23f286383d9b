"""A run that was interrupted stops, and `finalize` uses its trials."""

import json

import keras_tuner
import numpy as np
import pytest
from command_line import kt_tuning, write_photos
from shipped_run import write_definition
from tiny_models import tiny

import kt_tuning as package
from kt_tuning.core.errors import SearchError
from kt_tuning.core.records import SearchRecord
from kt_tuning.pipeline import RunOptions
from kt_tuning.pipeline.make_tuner import recorded_options
from kt_tuning.search.loop import SearchLoop

pytestmark = pytest.mark.usefixtures("restored_signals")

OPTIONS = ["--hypermodel", "convnet", "--fix", "filters=8", "--fix", "stages=1"]
OPTIONS += ["--augment", "none", "--epochs", "9"]
OPTIONS += ["--strategy", "asha", "--max-trials", "4", "--workers", "1", "--quiet"]


def interrupt_after(monkeypatch, pauses):
    """Have the user press Ctrl-C when so many trials have paused."""
    pause, heard = SearchLoop._pause, []

    def paused(self, *arguments):
        pause(self, *arguments)
        heard.append(arguments)
        if len(heard) == pauses:
            raise KeyboardInterrupt

    monkeypatch.setattr(SearchLoop, "_pause", paused)


def interrupted(*arguments, **options):
    raise KeyboardInterrupt


def test_an_interrupted_run_stops_and_can_be_finished_and_gone_on_with(
    tmp_path, monkeypatch, capsys, caplog
):
    photos, out = write_photos(tmp_path / "photos"), tmp_path / "run"
    command = ["run", photos, "--out", out, *OPTIONS]
    with monkeypatch.context() as patch:
        patch.setattr("kt_tuning.pipeline.run", interrupted)
        assert kt_tuning(patch, *command) == 130
    assert "run the same command again.\n" in capsys.readouterr().err  # there is nothing to finish
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert kt_tuning(patch, *command) == 130
    told = capsys.readouterr().err
    assert f"to use the trials so far: kt-tuning finalize {out}" in told
    assert "Traceback" not in told
    # The test split is untouched, and nothing was combined or exported.
    made = {"ensemble.json", "test_uses.json", "scores.json", "export", "report.html"}
    assert not made & {path.name for path in out.iterdir()}

    # Paused trials only.
    assert sorted(path.parent.name for path in out.glob("trial_*/paused.json")) == [
        "trial_0",
        "trial_1",
    ]
    assert kt_tuning(monkeypatch, "finalize", out, "--quiet") == 0
    assert f"model   {out / 'export/1'}" in capsys.readouterr().out
    assert made <= {path.name for path in out.iterdir()}
    assert "2 paused" in (out / "report.html").read_text()
    assert not list(out.glob("trial_*/result.json"))

    # The same command goes on.
    assert kt_tuning(monkeypatch, *command) == 0
    assert len(list(out.glob("trial_*/result.json"))) == 4
    # The newest export is of the model of now, which may be the one that was exported before.
    newest = max((out / "export").iterdir(), key=lambda folder: int(folder.name))
    measured = json.loads((newest / "measurement.json").read_text())
    assert measured["model"] == json.loads((out / "ensemble.json").read_text())["model"]
    assert (newest / "saved_model.pb").exists()
    assert not [path for path in out.rglob("*") if path.name.startswith("writing.")]

    # A trial whose file is lost does not take the others along.
    best = json.loads((out / "ensemble.json").read_text())["trial_ids"][0]
    (out / f"trial_{best}" / "val_predictions.npy").unlink()
    assert kt_tuning(monkeypatch, "finalize", out, "--quiet") == 0
    assert f"Trial {int(best)} is left out" in caplog.text
    probabilities = package.open_run(out).ensemble().predict(np.zeros((1, 8, 8, 1), "u1"))
    assert probabilities.sum() == pytest.approx(1)


def test_a_run_without_trials_cannot_be_finalized(tmp_path):
    SearchRecord("val_accuracy", "max", "tpe", 0, 1, 1, None, "build", {}).save(
        tmp_path / "search.json"
    )
    write_definition(tmp_path, tiny)
    with pytest.raises(SearchError, match=r"No trial of .* has a score yet"):
        package.open_run(tmp_path).finalize()


def test_an_error_that_a_hypermodel_calls_fatal_is_one_line(tmp_path, monkeypatch, capsys):
    def fail():
        raise keras_tuner.errors.FatalRuntimeError("The weights cannot be downloaded.")

    monkeypatch.setattr("kt_tuning.pipeline.run", lambda *_, **__: fail())
    photos = write_photos(tmp_path / "photos")
    assert kt_tuning(monkeypatch, "run", photos, "--out", tmp_path / "run", *OPTIONS) == 2
    assert "error: The weights cannot be downloaded.\n" in capsys.readouterr().err


def test_options_are_kept_as_they_were(tmp_path):
    content = {"epochs": 3, "overwrite": True, "track": ["csv"], "unknown": 1}
    (tmp_path / "options.json").write_text(json.dumps(content))
    assert recorded_options(tmp_path) == RunOptions(epochs=3)
