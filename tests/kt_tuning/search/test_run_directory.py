"""The run directory of a search, also after a power loss."""

import os
import shutil

import keras_tuner
import numpy as np
import pytest
from tiny_models import tiny

import kt_tuning
from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials.trial_files import damaged_files


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path, keras_tuner.Objective("val_loss", "min"), overwrite=False)


def finish(directory, number, began, seconds, name="result.json", status="COMPLETED"):
    record = TrialRecord(
        trial_id=str(number),
        number=number,
        status=status,
        values={},
        metrics={"val_loss": 0.5},
        best_epoch=0,
        epochs=1,
        seconds=seconds,
        parameters=1,
        began=began,
    )
    record.save(directory.trial(record.trial_id) / name)


def interrupt(directory, number, ended, seconds):
    rows = "".join(f"{epoch},0.5,{each}\n" for epoch, each in enumerate(seconds))
    path = directory.trial(str(number)) / "history.csv"
    path.write_text(f"epoch,val_loss,seconds\n{rows}", encoding="utf-8")
    os.utime(path, (ended, ended))


def test_what_ran_side_by_side_counts_once(directory):
    finish(directory, 0, began=100, seconds=50)
    finish(directory, 1, began=120, seconds=50)
    finish(directory, 2, began=200, seconds=10)
    assert directory.seconds_spent() == 80


def test_trials_that_were_interrupted_count_until_their_last_epoch(directory):
    finish(directory, 0, began=100, seconds=50)
    interrupt(directory, 1, ended=170, seconds=[15, 25])
    interrupt(directory, 2, ended=300, seconds=[30])
    directory.trial("3")
    assert directory.seconds_spent() == 50 + 20 + 30
    # It has gone on and ended since.
    finish(directory, 2, began=270, seconds=90)
    assert directory.seconds_spent() == 50 + 20 + 90


def test_what_has_gone_on_after_a_pause_counts_too(directory):
    finish(directory, 0, began=100, seconds=50, name="paused.json", status="PAUSED")
    interrupt(directory, 0, ended=150, seconds=[40])
    assert directory.seconds_spent() == 50
    interrupt(directory, 0, ended=300, seconds=[40, 30, 20])
    assert directory.seconds_spent() == 50 + 50


def make(folder):
    return kt_tuning.Tuner(
        tiny, max_trials=2, epochs=1, seed=1, directory=folder, project_name="run"
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, stripes):
    """A finished run of two trials."""
    folder = tmp_path_factory.mktemp("finished")
    make(folder).search(stripes, verbose=False)
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run that may be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


def cut(path, share=0.0):
    """Leave only the first bytes of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def results(run):
    paths = sorted(run.glob("trial_*/result.json"))
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("result.json", 0),
        ("result.json", 0.5),
        ("history.csv", 0),
        ("val_predictions.npy", 0),
        ("model.weights.h5", 0.5),
    ],
)
def test_a_trial_with_a_damaged_file_is_trained_again(name, share, run, stripes, caplog):
    before, expected = results(run), TrialRecord.load(run / "trial_1/result.json")
    predictions = np.load(run / "trial_1/val_predictions.npy")
    cut(run / "trial_1" / name, share)
    make(run.parent).search(stripes, verbose=False)
    again = TrialRecord.load(run / "trial_1/result.json")
    assert (again.status, again.values, again.metrics) == (
        *("COMPLETED", expected.values),
        pytest.approx(expected.metrics),
    )
    assert np.allclose(np.load(run / "trial_1/val_predictions.npy"), predictions, atol=1e-5)
    assert results(run)["trial_0"] == before["trial_0"]
    warnings = [record.getMessage() for record in caplog.records]
    assert (
        len([text for text in warnings if f"{run / 'trial_1' / name} cannot be read" in text]) == 1
    )
    assert not damaged_files(run / "trial_1")


def test_all_results_and_kerastuners_files_are_lost(run, stripes, caplog):
    before = results(run)
    for path in [*run.glob("trial_*/result.json"), *run.glob("trial_*/trial.json")]:
        cut(path)
    cut(run / "oracle.json")
    tuner = make(run.parent)
    tuner.search(stripes, verbose=False)
    after = results(run)
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before)
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 2


def test_a_second_search_finds_nothing_to_repair(run, stripes, caplog):
    cut(run / "trial_0/result.json")
    make(run.parent).search(stripes, verbose=False)
    before = results(run)
    caplog.clear()
    make(run.parent).search(stripes, verbose=False)
    assert results(run) == before
    assert "cannot be read" not in caplog.text


def test_damaged_predictions_are_named_with_what_to_do(run):
    tuner = make(run.parent)
    cut(run / "trial_1/val_predictions.npy")
    with pytest.raises(StorageError, match=r"val_predictions\.npy is damaged .* search again"):
        tuner._run.predictions("1")


def test_a_search_begins_only_where_it_overwrites_nothing(make_tuner, stripes, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.json").write_text("mine")
    with pytest.raises(StorageError, match=r"holds data\.json: a run would overwrite it"):
        make_tuner().search(stripes, verbose=False)
    assert [path.read_text() for path in (tmp_path / "run").iterdir()] == ["mine"]
