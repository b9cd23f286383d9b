"""Which files of a trial are damaged, and how an interrupted trial goes on without them."""

import json

import h5py
import numpy as np
import pytest

from kt_tuning.trials.checkpoint import BEST, LAST, Checkpoint
from kt_tuning.trials.trial_files import damaged_files


@pytest.fixture
def folder(tmp_path):
    """A trial's folder with a file of each kind, all of them whole."""
    (tmp_path / "trial.json").write_text(json.dumps({"trial_id": "1"}))
    (tmp_path / "history.csv").write_bytes(b"epoch,loss\r\n0,0.5\r\n")
    np.save(tmp_path / "val_predictions.npy", np.ones((3, 2)))
    for name in ("model.weights.h5", "fold_0.weights.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["weights"] = np.arange(100)
    return tmp_path


NAMES = [
    *("trial.json", "history.csv", "val_predictions.npy"),
    *("fold_0.weights.h5", "model.weights.h5"),
]


def test_whole_files_and_those_of_the_user_are_not_damaged(folder):
    for name in ("notes.json", "mine.npy", "failed_1.json", "writing.0123abcd.result.json"):
        (folder / name).touch()
    assert damaged_files(folder) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0, 0.5])
def test_empty_files_and_halves_are_damaged(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    assert damaged_files(folder) == [folder / name]


@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_damaged_checkpoint_is_removed_and_said(tmp_path, name, caplog):
    state = np.frombuffer(json.dumps({"index": 0, "epochs": 1, "done": 1}).encode(), np.uint8)
    for each in (LAST, BEST):
        np.savez(tmp_path / each, state=state)
    (tmp_path / name).write_bytes(b"")
    assert Checkpoint(tmp_path).restore(model=None, index=0) is None
    assert list(tmp_path.iterdir()) == []
    assert f"{tmp_path / name} is damaged" in caplog.text
