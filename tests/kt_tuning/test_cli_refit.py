"""`kt-tuning refit` and `devices`."""

import json

import numpy as np
import pytest
from command_line import kt_tuning, write_photos
from shipped_run import write_definition, write_search
from tiny_models import tiny

from hypermodels import MLP
from kt_tuning import Recipe, open_run
from kt_tuning.core.records import REFITTED
from kt_tuning.data import load_images
from kt_tuning.evaluation.test_uses import model_digest
from kt_tuning.finalize import load_final_model, load_run_data


@pytest.fixture
def photos(tmp_path):
    """60 files, of which 36 are trained and 12 validated on."""
    return write_photos(tmp_path / "photos")


@pytest.fixture
def run(photos):
    """A run directory of two trials, the second one better."""
    directory = photos.parent / "run"
    write_search(directory, load_images(photos, progress=False), "MLP", seed=0)
    return directory


def test_the_winner_is_trained_again_saved_and_exported(run, monkeypatch, capsys):
    write_definition(run, MLP((8, 8, 1), 2, units=8), Recipe(batch_size=(16, 32)))
    space = open_run(run).get_default_hyperparameters()
    result = run / "trial_01" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "values": space.values}))
    assert kt_tuning(monkeypatch, "refit", run, "--epochs", 2, "--quiet") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "1 model on 48 images, on 1 processor: 2 epochs of 16 images per step."
    assert second == f"model   {run / 'refit/export/1'}"
    assert (run / "refit/export/1/saved_model.pb").exists()
    assert (run / "refit/trial_01/model.weights.h5").exists()
    # What reads a run directory reads that of a refit.
    test = load_run_data(run / "refit", progress=False).test
    assert load_final_model(run / "refit").predict(test.images, verbose=0).shape == (12, 2)


def test_a_run_that_does_not_say_what_was_searched_is_refused(run, monkeypatch, capsys):
    write_definition(run, tiny)
    assert kt_tuning(monkeypatch, "refit", run, "--quiet") == 2
    assert "open_run(path, hypermodel=…)" in capsys.readouterr().err
    assert not (run / "refit").exists()


def test_devices_says_what_there_is(monkeypatch, capsys):
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert kt_tuning(monkeypatch, "devices") == 0
    assert capsys.readouterr().out.startswith("found     1 processor, on tensorflow")


def test_a_probe_is_trained_again_before_it_is_evaluated(photos, monkeypatch, capsys):
    out = photos.parent / "out"
    options = ("--hypermodel", "linearprobe", "--fix", "size=32", "--quiet", "--max-trials", 1)
    assert kt_tuning(monkeypatch, "run", photos, "--out", out, *options) == 0
    record = json.loads((out / "ensemble.json").read_text())
    assert record["refitted"]
    # The scores, the export and the Keras file are those of the models that were trained again.
    assert json.loads((out / "scores.json").read_text())["model"] == record["model"]
    data = load_run_data(out, progress=False)
    served = load_final_model(out).predict(data.validation.images, verbose=0)
    before = np.load(out / "trial_0" / "val_predictions.npy")
    assert np.log(before) != pytest.approx(np.log(served), abs=1e-2)
    # After a restart, too, the run's ensemble is of the models that were trained again.
    again = open_run(out)._current_ensemble(data)
    assert model_digest(again) == record["model"]
    # The output, the head of the report, the model card and the ensemble say so.
    assert f"The model was {REFITTED} after the search" in capsys.readouterr().out
    head = (out / "report.html").read_text().partition("</header>")[0]
    assert f", {REFITTED}" in head
    assert f"models were then {REFITTED}" in (out / "export/1/MODEL_CARD.md").read_text()
    assert repr(again).endswith(f"{REFITTED})")
