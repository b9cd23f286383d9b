"""The files of a trial: its curve, and what is damaged of them."""

import json

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from kt_tuning.trials.checkpoint import BEST, LAST, Checkpoint, TrainingState
from kt_tuning.trials.trial_files import TrialFiles, damaged_files


def test_a_row_an_epoch(tmp_path):
    files = TrialFiles(tmp_path)
    files.add_epoch(0, 0, 1.25, {"loss": 0.5}, data_wait=None)
    files.add_epoch(0, 1, 1.0, {"loss": 0.25}, data_wait=0.125)
    table = pd.read_csv(tmp_path / "history.csv")
    assert list(table.columns) == ["epoch", "seconds", "data_wait", "loss"]
    assert table["epoch"].tolist() == [0, 1]
    assert table["seconds"].tolist() == [1.25, 1.0]
    assert table["loss"].tolist() == [0.5, 0.25]
    # an unknown wait is an empty field
    assert table["data_wait"].isna().tolist() == [True, False]
    assert table["data_wait"].iloc[1] == 0.125


def test_rewound_to_the_second_epoch_of_the_second_training(tmp_path):
    files = TrialFiles(tmp_path, several=True)
    for run in range(2):
        for epoch in range(3):
            files.add_epoch(run, epoch, 1.0, {"loss": 10.0 * run + epoch}, data_wait=0)
    files.rewind_history(1, 1)
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0, 1, 2, 10]


def test_a_row_that_a_kill_tore_is_dropped(tmp_path):
    files = TrialFiles(tmp_path)
    files.add_epoch(0, 0, 1.0, {"loss": 0.5}, data_wait=None)
    with (tmp_path / "history.csv").open("a") as file:
        file.write("1,0.")
    files.rewind_history(0, 2)
    files.add_epoch(0, 1, 1.0, {"loss": 0.25}, data_wait=0.125)
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0.5, 0.25]


def test_there_is_nothing_to_rewind(tmp_path):
    TrialFiles(tmp_path).rewind_history(0, 0)
    assert not list(tmp_path.iterdir())


def test_metrics_may_change_between_epochs(tmp_path):
    files = TrialFiles(tmp_path)
    files.add_epoch(0, 0, 1.0, {"loss": 0.5, "top": 1.0}, data_wait=None)
    files.add_epoch(0, 1, 1.0, {"accuracy": 0.75, "loss": 0.25}, data_wait=None)
    files.rewind_history(0, 2)
    table = pd.read_csv(tmp_path / "history.csv")
    assert table["loss"].tolist() == [0.5, 0.25]
    assert table["top"].isna().tolist() == [False, True]
    assert table["accuracy"].isna().tolist() == [True, False]


@pytest.fixture
def folder(tmp_path):
    """A trial's folder with a file of each kind, all of them whole."""
    (tmp_path / "history.csv").write_bytes(b"epoch,loss\r\n0,0.5\r\n")
    np.save(tmp_path / "val_predictions.npy", np.ones((3, 2)))
    for name in ("model.weights.h5", "fold_0.weights.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["weights"] = np.arange(100)
    return tmp_path


NAMES = [
    *("history.csv", "val_predictions.npy"),
    *("fold_0.weights.h5", "model.weights.h5"),
]


def test_whole_files_and_those_of_the_user_are_not_damaged(folder):
    others = ("notes.json", "mine.npy", "failed_1.json", "writing.0123abcd.result.json")
    for name in (*others, "trial.json"):
        (folder / name).touch()
    assert damaged_files(folder) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0, 0.5])
def test_empty_files_and_halves_are_damaged(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    assert damaged_files(folder) == [folder / name]


def test_a_checkpoint_of_epochs_that_the_curve_has_lost_is_not_continued(tmp_path):
    content = {"index": 0, "epochs": 3, "done": 2, "trained": 2}
    best = {"epoch": 0, "value": 0.5, "logs": {}}
    for name, state in ((LAST, content), (BEST, best)):
        np.savez(tmp_path / name, state=np.frombuffer(json.dumps(state).encode(), np.uint8))
    files = TrialFiles(tmp_path)
    files.add_epoch(0, 0, 1.0, {"loss": 0.5}, data_wait=None)
    assert files.epochs(0) == 1
    assert Checkpoint(tmp_path).restore(model=None, index=0, epochs=1) is None


@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_damaged_checkpoint_is_removed_and_said(tmp_path, name, caplog):
    state = np.frombuffer(json.dumps({"index": 0, "epochs": 1, "done": 1}).encode(), np.uint8)
    for each in (LAST, BEST):
        np.savez(tmp_path / each, state=state)
    (tmp_path / name).write_bytes(b"")
    assert Checkpoint(tmp_path).restore(model=None, index=0, epochs=1) is None
    assert list(tmp_path.iterdir()) == []
    assert f"{tmp_path / name} is damaged" in caplog.text


def test_a_checkpoint_without_a_best_epoch_changes_no_weights(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    Checkpoint(tmp_path).save(model, TrainingState(index=0, epochs=3, done=1))
    model.set_weights([np.ones((2, 1)), np.ones(1)])
    assert Checkpoint(tmp_path).restore(model, index=0, epochs=0) is None
    assert model.get_weights()[0].tolist() == [[1], [1]]
