"""Reading a run directory."""

from pathlib import Path

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.run import Run, read_history


def write_trial(run, number, loss, status="COMPLETED", name="result.json"):
    folder = run / f"trial_{number}"
    folder.mkdir()
    metrics = {} if loss is None else {"val_loss": loss}
    TrialRecord(str(number), number, status, {}, metrics, 0, 1, 1.0, 1).save(folder / name)


def test_trials_are_in_order_of_start_and_the_best_first(tmp_path):
    SearchRecord("val_loss", "min", "tpe", 0, 1, 4, None, "x", {}).save(tmp_path / "search.json")
    write_trial(tmp_path, 10, 0.2)
    write_trial(tmp_path, 2, 0.1, status="PAUSED", name="paused.json")
    write_trial(tmp_path, 3, None, status="FAILED")
    (tmp_path / "trial_4").mkdir()
    run = Run(tmp_path)
    assert [trial.number for trial in run.trials()] == [2, 3, 10]
    assert [trial.number for trial in run.best_trials()] == [2, 10]
    assert set(run.trial_folders()) == {"10", "2", "3", "4"}


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        ("epoch,loss\n0,0.5\n1,\n", [0.5, np.nan]),
        # A process was killed while it wrote the last line.
        ("epoch,loss\n0,0.5\n1,0.2", [0.5]),
        ("epoch,loss\r\n0,0.5\r\n", [0.5]),
    ],
)
def test_a_history_has_a_value_a_whole_line(text, losses, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(text, newline="")
    assert np.array_equal(read_history(path)["loss"], losses, equal_nan=True)


@pytest.mark.parametrize("text", ["", "epoch,lo", "\0\0\0"])
def test_a_history_without_a_whole_line_has_no_epoch(text, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(text)
    assert read_history(path) == {}


def test_a_history_that_is_no_table_of_numbers_is_refused(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,half\n")
    with pytest.raises(StorageError, match="table of numbers"):
        read_history(path)


def test_labels_are_those_of_the_predicted_rows(tmp_path):
    assert Run(tmp_path).split() is None
    with pytest.raises(StorageError, match=r"has no split\.npz"):
        Run(tmp_path).read_split()
    path = tmp_path / "split.npz"
    np.savez(path, labels=[3, 1, 2], predicted=[2, 0])
    assert Run(tmp_path).read_split().predicted_labels.tolist() == [2, 3]
    np.savez(path, labels=[3, 1, 2], predicted=[7])
    with pytest.raises(StorageError, match="is damaged"):
        Run(tmp_path).split()


def test_a_folder_without_a_search_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"which has no search\.json"):
        Run(tmp_path).read_search()
    with pytest.raises(StorageError, match="which is not a folder"):
        Run(tmp_path / "none").read_search()


def test_predictions_of_executions_count_rows_once(tmp_path):
    folder = tmp_path / "trial_0"
    folder.mkdir()
    run = Run(tmp_path)
    assert run.predictions("0") is None
    assert run.predicted_rows("0") == 0
    np.save(folder / "val_predictions.npy", np.zeros((4, 2)))
    assert run.predicted_rows("0") == 4
    np.save(folder / "execution_predictions.npy", np.zeros((3, 5, 2)))
    assert run.predicted_rows("0") == 5
    (folder / "val_predictions.npy").write_text("nonsense")
    with pytest.raises(StorageError, match="is damaged"):
        run.predictions("0")


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("read", [lambda run: run.split(), lambda run: run.predictions("1")])
def test_no_array_of_a_run_is_unpickled(read, tmp_path):
    evil = np.array([[Touch(tmp_path / "made")]], dtype=object)
    np.savez(tmp_path / "split.npz", labels=evil)
    (tmp_path / "trial_1").mkdir()
    np.save(tmp_path / "trial_1" / "val_predictions.npy", evil)
    with pytest.raises(StorageError, match="allow_pickle"):
        read(Run(tmp_path))
    assert not (tmp_path / "made").exists()
