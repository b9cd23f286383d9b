"""`kt-tuning export`: from a run directory to checked files."""

from __future__ import annotations

import pytest
from command_line import kt_tuning, write_photos
from shipped_run import small_model, write_search, write_winner

from kt_tuning.data import load_images
from kt_tuning.ensembling import Ensemble
from kt_tuning.finalize import save_final_model


@pytest.fixture
def run(tmp_path):
    """A run on files, with a winner."""
    write_photos(tmp_path / "photos")
    directory = tmp_path / "run"
    write_search(directory, load_images(tmp_path / "photos", progress=False))
    write_winner(directory)
    save_final_model(Ensemble([small_model()], [1.0]), directory)
    return directory


def test_a_format_is_written_and_the_table_printed(run, monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "export", run, "--format", "keras", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("export/keras/1 (keras) ")
    assert "100.00%" in lines[1]
    names = {path.name for path in (run / "export/keras/1").iterdir()}
    assert names == {
        "model.keras",
        "labels.txt",
        "provenance.json",
        "measurement.json",
        "MODEL_CARD.md",
    }


def test_images_that_moved_are_found_where_they_are_now(run, monkeypatch, capsys):
    photos = run.parent / "photos"
    photos.rename(run.parent / "moved")
    assert kt_tuning(monkeypatch, "export", run, "--format", "keras", "--quiet") == 2
    assert str(photos) in capsys.readouterr().err
    arguments = ["--format", "keras", "--data", run.parent / "moved", "--quiet"]
    assert kt_tuning(monkeypatch, "export", run, *arguments) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "caffe"], "Unknown format 'caffe'. Known: saved_model"),
        (["--format", "keras", "--images", "0"], "images=0"),
        (["--format", "keras", "--sparsity", "1.5"], "sparsity=1.5"),
        (["--format", "keras", "--sparsity", "0.5", "--epochs", "0"], "at least 1 epoch"),
    ],
)
def test_bad_options_are_one_clear_message(run, monkeypatch, capsys, arguments, message):
    assert kt_tuning(monkeypatch, "export", run, *arguments, "--quiet") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (run / "export").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path, monkeypatch, capsys):
    assert kt_tuning(monkeypatch, "export", tmp_path, "--format", "keras") == 2
    assert "is no run directory" in capsys.readouterr().err
