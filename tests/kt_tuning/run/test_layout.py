"""What is deleted with a run, and what never is."""

import json
import logging
import re
from pathlib import Path

import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.run import layout
from kt_tuning.run.layout import check_free, check_removable, is_run_directory, remove_run

SEARCH = {"objective": "val_accuracy", "hypermodel": "build", "versions": {}}
WRITTEN = (
    "data.json",
    "definition.json",
    "oracle.json",
    "tuner0.json",
    "worker1.json",
    "split.npz",
    "study.db",
    "study.db-wal",
    "config.yaml",
    "options.json",
    "ensemble.json",
    "ensemble-0123456789ab.keras",
    "report.html",
    "trial_0/trial.json",
    "trial_0/result.json",
    "trial_0/history.csv",
    "trial_0/failed_1.json",
    "trial_0/failed_1.csv",
    "trial_0/deaths.json",
    "trial_0/writing.0123abcd.result.json",
    "writing.report.html",
    "trial_0/val_predictions.npy",
    "trial_0/model.weights.h5",
    "trial_0/build_config.json",
    "trial_1/checkpoint.weights.h5",
    "trial_1/fold_2.weights.h5",
    "trial_1/checkpoint/last.npz",
    "trial_1/checkpoint/writing.best.npz",
    "export/1/saved_model.pb",
    "export/1/variables/variables.index",
    "export/litert_int8/2/model.tflite",
    "tracking/mlflow.jsonl",
    "csv/epochs.csv",
    "tensorboard/trial_0/events.out.tfevents.1.host",
    "workers/worker_1.log",
    "bag/search.json",
    "bag/lock",
    "bag/trial_0000/result.json",
)
OF_THE_USER = (
    "thesis.tex",
    "data.csv",
    "trial_0/notes.txt",
    "trial_notes/history.csv",
    "export/README.md",
    "export/1/cat.jpg",
    "ensemble-best.keras",
    "bag/0001.png",
    "photos/search.json",
)


def write(folder, names, content="x"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def run(tmp_path):
    """A run directory with files of the user's in it."""
    folder = tmp_path / "run"
    write(folder, [*WRITTEN, *OF_THE_USER, "lock", "test_uses.json"])
    (folder / "search.json").write_text(json.dumps(SEARCH))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_what_a_run_wrote_is_deleted_and_the_rest_is_named(run, caplog):
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        remove_run(run)
    assert set(files(run)) == {*OF_THE_USER, "lock", "test_uses.json"}
    assert "thesis.tex" in caplog.text
    assert "trial_0/notes.txt" in caplog.text
    assert not (run / "trial_1").exists()
    assert not (run / "workers").exists()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    write(tmp_path, ["data.json", "report.html", "export/1/model.onnx"])
    # Of other programs, with the names of our records.
    write(tmp_path, ["search.json", "options.json", "oracle.json"], '{"objective": 1}')
    (tmp_path / "study.db").write_bytes(b"SQLite format 3\0 of a program that is not Optuna")
    before = files(tmp_path)
    assert not is_run_directory(tmp_path)
    with pytest.raises(StorageError, match="is not empty and is no run directory"):
        remove_run(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("names", [[], ["lock"], ["test_uses.json"]])
def test_an_absent_or_empty_folder_is_fine(names, tmp_path):
    check_removable(tmp_path / "absent")
    write(tmp_path, names)
    remove_run(tmp_path)
    assert sorted(files(tmp_path)) == names


@pytest.mark.parametrize("place", [".", "photos", "photos/cats"])
def test_the_folder_of_the_images_and_its_parents_are_left_alone(place, run):
    (run / place).mkdir(parents=True, exist_ok=True)
    before = files(run)
    with pytest.raises(StorageError, match="is or contains the folder of the images"):
        remove_run(run, run / place)
    assert files(run) == before


def test_the_images_are_found_behind_a_link(run, tmp_path):
    (tmp_path / "link").symlink_to(run / "photos")
    with pytest.raises(StorageError, match="is or contains the folder of the images"):
        remove_run(run, tmp_path / "link")


def test_a_run_inside_the_folder_of_the_images_is_deleted(run):
    remove_run(run, run.parent)
    assert not (run / "search.json").exists()


@pytest.mark.parametrize("name", ["trial_7", "report.html", "trial_0/checkpoint", "bag/trial_1"])
def test_no_link_is_followed_or_deleted(name, run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, ["result.json", "last.npz"])
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(elsewhere)
    before = files(run)
    with pytest.raises(StorageError, match="is a symbolic link"):
        remove_run(run)
    assert files(run) == before
    assert set(files(elsewhere)) == {"result.json", "last.npz"}


def test_a_link_with_another_name_stays(run, tmp_path):
    write(tmp_path / "elsewhere", ["a.txt"])
    (run / "mine").symlink_to(tmp_path / "elsewhere")
    remove_run(run)
    assert (run / "mine" / "a.txt").exists()


@pytest.mark.parametrize("name", ["config.yaml", "data.json", "report.html", "split.npz"])
def test_files_of_the_user_are_not_overwritten(name, tmp_path):
    write(tmp_path, [name, "thesis.tex", "lock", "study.db", "writing.data.json"])
    with pytest.raises(StorageError, match=f"holds {name}: a run would overwrite it"):
        check_free(tmp_path)


@pytest.mark.parametrize("names", [[], ["thesis.tex", "trial_0", "test_uses.json", "study.db-wal"]])
def test_a_run_may_begin_beside_other_files(names, tmp_path):
    check_free(tmp_path / "missing")
    write(tmp_path, names)
    check_free(tmp_path)


def test_a_run_may_go_on_in_its_directory(run):
    check_free(run)
    check_free(run, run.parent)


@pytest.mark.parametrize("place", [".", "cats"])
def test_no_run_begins_among_images(place, tmp_path):
    write(tmp_path, ["cats/0.png", "dogs/0.png"])
    with pytest.raises(StorageError, match="not be read as images any more"):
        check_free(tmp_path / place, tmp_path)
    check_free(tmp_path / "runs", tmp_path)


def test_a_study_alone_makes_a_run(tmp_path):
    (tmp_path / "study.db").write_bytes(b"SQLite format 3\0 ... objectives ...")
    assert is_run_directory(tmp_path)


def test_every_name_in_the_layout_is_one_that_a_run_writes():
    names = [
        value.format(1)
        for name, value in vars(layout).items()
        if name.isupper() and isinstance(value, str) and name[0] != "_"
    ]
    folders = (
        layout.RUN,
        layout.RUN["refit|distill|bag|boost|snapshots"],
        layout.RUN[r"trial_\d+"],
    )
    for name in names:
        known = any(re.fullmatch(pattern, name) for folder in folders for pattern in folder)
        assert known or name in layout.KEPT, name
