"""Files that a power loss leaves empty or cut short: their trials are trained again."""

import shutil

import numpy as np
import pytest
from tiny_models import tiny

import kt_tuning
from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.trials.trial_files import damaged_files


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
