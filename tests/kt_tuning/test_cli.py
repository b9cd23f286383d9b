"""The command line: the whole job, and its commands on a finished run."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from command_line import kt_tuning, write_photos
from PIL import Image

from kt_tuning.export import load_saved_model


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")


SEARCH = ["--hypermodel", "convnet", "--fix", "optimizer=adam", "--fix", "filters=(8, 16)"]
SEARCH += ["--max-trials", "2"]
SEARCH += ["--epochs", "8", "--augment", "none", "--workers", "1", "--quiet"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run directory that `kt-tuning run` made, and what it printed."""
    base = tmp_path_factory.mktemp("finished")
    folder = write_photos(base / "photos")
    command = [sys.executable, "-m", "kt_tuning.cli", "run", folder, "--out", base / "run"]
    command += SEARCH
    environment = {"KT_TUNING_CACHE": str(base / "cache"), "PATH": "/usr/bin:/bin"}
    # The tests in this process compare themselves with it.
    environment["ONEDNN_MAX_CPU_ISA"] = os.environ["ONEDNN_MAX_CPU_ISA"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    return base, result


def test_run_prints_scores_and_where_things_are(finished):
    base, result = finished
    assert "accuracy" in result.stdout
    assert f"model   {base / 'run/export/1'}" in result.stdout
    assert f"report  {base / 'run/report.html'}" in result.stdout
    assert re.search(r"^The run took \d+:\d\d\.$", result.stdout, re.MULTILINE)


def test_run_says_what_there_is_and_what_each_trial_came_to(finished):
    _, result = finished
    lines = result.stderr.strip().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    said = [line[len("00:00:00 ") :] for line in lines]
    assert said[:2] == [
        "60 images in 2 classes, 30 images each: 36 for training, 12 for validation, 12 for the "
        "final test.",
        "Images are 8×8 pixels, grey (the size of all files).",
    ]
    assert said[2] == "Starting TensorFlow."
    assert said[3].startswith("Searching convnet: at most 2 trials, each trial up to 8 epochs.")
    trial = r"trial 0: val_accuracy \S+ in 8 epochs, \d+:\d\d \(best so far\)"
    assert re.fullmatch(trial, said[4])
    assert len(said) == 6


def test_run_ends_with_plain_sentences(finished):
    base, result = finished
    sentences = result.stdout.split("\n\n", 1)[1]
    assert "of 12 test images are classified correctly" in sentences
    assert "2 of 2 trials trained to the end." in sentences
    assert f"kt-tuning report {base / 'run'} --open" in sentences
    assert f"kt-tuning predict {base / 'run/export/1'} IMAGE…" in sentences


def test_run_leaves_every_file_behind(finished):
    run = finished[0] / "run"
    for name in ("data.json", "split.npz", "search.json", "ensemble.json", "scores.json"):
        assert (run / name).stat().st_size > 0
    scores = json.loads((run / "scores.json").read_text())
    assert scores["split"] == "test"
    assert scores["images"] == 12
    provenance = json.loads((run / "export/1/provenance.json").read_text())
    assert provenance["model"]["scores"]["metrics"] == scores["metrics"]


def test_fixed_hyperparameters_are_not_searched(finished):
    values = json.loads((finished[0] / "run/trial_0/result.json").read_text())["values"]
    assert "adaptive_learning_rate" in values
    assert not {"optimizer", "filters", "momentum"} & set(values)


def test_predict_classifies_files(finished, monkeypatch, capsys):
    base, _ = finished
    files = [base / "photos/lying/00.png", base / "photos/standing/01.png"]
    assert kt_tuning(monkeypatch, "predict", base / "run/export/1", *files) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    loaded = load_saved_model(base / "run/export/1")
    answers = loaded.predict_bytes([file.read_bytes() for file in files])
    best = answers["probabilities"].max(axis=1)
    expected = zip(files, answers["label"], best, strict=True)
    assert rows == [[str(file), label.decode(), f"{p:.4f}"] for file, label, p in expected]


def test_preview_is_a_picture_with_a_row_an_image_and_a_column_a_draw(
    photos, monkeypatch, capsys, tmp_path
):
    out = tmp_path / "draws.png"
    arguments = ["--augment", "text", "--out", out, "--images", "3", "--draws", "4"]
    assert kt_tuning(monkeypatch, "preview", photos, *arguments) == 0
    assert capsys.readouterr().out.strip() == str(out)
    # 8 pixels twelve times enlarged, and 2 between: 5 columns, 3 rows
    with Image.open(out) as picture:
        assert picture.size == (5 * 96 + 4 * 2, 3 * 96 + 2 * 2)


@pytest.mark.parametrize("out", ["draws", "draws.xyz", "none/draws.png", "photos/lying/00.png"])
def test_a_preview_goes_to_a_picture_outside_the_images(photos, monkeypatch, capsys, tmp_path, out):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    assert kt_tuning(monkeypatch, "preview", photos, "--out", out) == 2
    assert out in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before


def test_hypermodels_are_listed_with_what_is_searched(monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "hypermodels", "mlp", "--image-size", "8") == 0
    shown = capsys.readouterr().out
    assert "mlp: Dense layers" in shown
    assert "adaptive_learning_rate" in shown
    assert kt_tuning(monkeypatch, "hypermodels", "resnext") == 2
    assert "resnext" in capsys.readouterr().err


def test_report_is_written_anew(finished, monkeypatch, capsys, tmp_path):
    run = shutil.copytree(finished[0] / "run", tmp_path / "run")
    (run / "report.html").unlink()
    assert kt_tuning(monkeypatch, "report", run) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    assert "<html" in (run / "report.html").read_text()


def test_run_tells_what_its_best_validation_score_is_worth(finished):
    _, result = finished
    assert re.search(
        r"best validation score  accuracy \d\.\d{4}, the best of 2 candidates with \d+ epochs on "
        r"12 images; \d\.\d{4} after correction for this selection "
        r"\(95% interval \d\.\d{4} to \d\.\d{4}\)",
        result.stdout,
    )


def test_report_opens_in_a_browser(finished, monkeypatch, capsys, tmp_path):
    run = shutil.copytree(finished[0] / "run", tmp_path / "run")
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or False)
    assert kt_tuning(monkeypatch, "report", run, "--open") == 0
    assert asked == [(run / "report.html").as_uri()]
    assert "No browser was found" in capsys.readouterr().err


def test_evaluate_measures_the_parts_asked_for(finished, monkeypatch, capsys, tmp_path):
    base, _ = finished
    run = shutil.copytree(base / "run", tmp_path / "run")
    arguments = ["--part", "generalization", "--part", "cost", "--bootstrap", "20", "--quiet"]
    assert kt_tuning(monkeypatch, "evaluate", run, "--data", base / "photos", *arguments) == 0
    shown = capsys.readouterr()
    assert "train to validation" in shown.out
    assert "best validation score  accuracy" in shown.out
    # The same winner: nothing was chosen by looking twice.
    assert "no longer unseen" not in shown.err
    before, scores = (
        json.loads((folder / "scores.json").read_text()) for folder in (base / "run", run)
    )
    assert scores["metrics"]["accuracy"]["value"] == before["metrics"]["accuracy"]["value"]
    assert scores["cost"]["parameters"] == before["parameters"]
    assert scores["robustness"] is None
    assert len(json.loads((run / "test_uses.json").read_text())["uses"]) == 2
    assert "Throughput, in batches of" in (run / "report.html").read_text()


def test_evaluate_refuses_an_unknown_part_before_anything_is_loaded(monkeypatch, capsys, tmp_path):
    assert kt_tuning(monkeypatch, "evaluate", tmp_path, "--part", "speed") == 2
    assert "Known: generalization, cost, corruptions, attacks" in capsys.readouterr().err


def test_run_again_keeps_the_trials_and_exports_the_next_version(finished, monkeypatch, tmp_path):
    base, _ = finished
    run = shutil.copytree(base / "run", tmp_path / "run")
    before = (run / "trial_0/result.json").read_bytes()
    arguments = [*SEARCH, "--refit"]
    assert kt_tuning(monkeypatch, "run", base / "photos", "--out", run, *arguments) == 0
    assert (run / "trial_0/result.json").read_bytes() == before
    assert (run / "export/2/saved_model.pb").exists()


def test_run_from_the_configuration_that_it_wrote_gives_the_same_trials_and_scores(
    finished, monkeypatch, tmp_path
):
    run, again = finished[0] / "run", tmp_path / "again"
    arguments = ["--config", run / "config.yaml", "--out", again, "--workers", "1"]
    assert kt_tuning(monkeypatch, "run", *arguments) == 0
    for trial in ("trial_0", "trial_1"):
        first, second = (
            json.loads((folder / trial / "result.json").read_text()) for folder in (run, again)
        )
        for name in ("values", "status", "best_epoch", "epochs"):
            assert second[name] == first[name]
        # One was trained in a process with fewer threads: sums may be ordered another way.
        assert second["metrics"] == pytest.approx(first["metrics"], rel=1e-4)
    first, second = (json.loads((folder / "scores.json").read_text()) for folder in (run, again))
    assert second["metrics"]["accuracy"] == first["metrics"]["accuracy"]
    written = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (run, again)]
    for options in written:
        del options["out"], options["workers"]
    assert written[0] == written[1]


def test_other_data_in_the_run_directory_are_refused(finished, photos, monkeypatch, capsys):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(photos / "lying" / "one_more.png")
    assert kt_tuning(monkeypatch, "run", photos, "--out", finished[0] / "run") == 2
    assert "other data" in capsys.readouterr().err


def test_unreadable_images_are_named_by_predict(finished, monkeypatch, capsys, tmp_path):
    (tmp_path / "cat.jpg").write_text("meow")
    assert (
        kt_tuning(monkeypatch, "predict", finished[0] / "run/export/1", tmp_path / "cat.jpg") == 2
    )
    assert "cat.jpg" in capsys.readouterr().err


def test_the_version_is_printed(monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"kt-tuning {importlib.metadata.version('kt-tuning')}\n"


def test_formats_and_families_are_taken_as_users_spell_them(finished, photos, monkeypatch, capsys):
    base, _ = finished
    for name in ("ConvNet", "RESNET"):
        assert kt_tuning(monkeypatch, "hypermodels", name, "--image-size", 16) == 0
        assert capsys.readouterr().out.startswith(f"{name.lower()}: ")
    run = shutil.copytree(base / "run", photos.parent / "run")
    arguments = ["--data", photos, "--format", "TFLite", "--images", "4", "--quiet"]
    assert kt_tuning(monkeypatch, "export", run, *arguments) == 0
    assert (run / "export/litert/1").is_dir()


def test_a_warning_stands_above_the_bar_that_is_drawn_meanwhile(tmp_path):
    code = (
        "import logging, sys, types\n"
        "from kt_tuning.cli import app\n"
        "def verb():\n"
        "    from kt_tuning.core.progress import progress\n"
        "    with progress('Evaluating'):\n"
        "        logging.getLogger('kt_tuning').warning('once is enough')\n"
        "app.app = verb\n"
        "app.main()\n"
    )
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    line = next(line for line in result.stderr.splitlines() if "once is enough" in line)
    assert "Evaluating" not in line
