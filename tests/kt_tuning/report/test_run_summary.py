"""The summary of a run, and how it is read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation.test_uses import HeldOutUse, HeldOutUses
from kt_tuning.report.run_summary import load_run


def test_best_follows_the_direction(make_summary) -> None:
    assert make_summary([0.2, 0.5, None, 0.4]).best.number == 1
    assert make_summary([0.2, 0.5, None, 0.1], direction="min").best.number == 3


def test_the_earlier_of_equals_is_best(make_summary) -> None:
    assert make_summary([0.1, 0.5, 0.5]).best.number == 1


def test_without_scores_there_is_no_winner(make_summary) -> None:
    run = make_summary([None, None])
    assert run.best is None
    assert run.weighted_trials == ()


def test_without_an_ensemble_the_best_trial_wins(make_summary) -> None:
    run = make_summary([0.1, 0.5])
    assert run.weighted_trials == ((run.trials[1], 1.0),)


def test_members_come_heaviest_first(make_summary) -> None:
    ensemble = EnsembleRecord(("0000", "0002"), (0.3, 0.7), "convex", {}, (0.1, 0.3))
    run = make_summary([0.1, 0.5, 0.3], ensemble=ensemble)
    assert run.weighted_trials == ((run.trials[2], 0.7), (run.trials[0], 0.3))


def test_reads_everything(run_directory: Path) -> None:
    run = load_run(run_directory)
    assert run.name == "photos"
    assert [trial.number for trial in run.trials] == list(range(12))
    assert run.data is not None
    assert run.data.pixels.shape == (32, 32, 3)
    assert run.scores is not None
    assert run.scores.metrics["f1"].high == 0.74
    assert math.isnan(run.scores.metrics["undefined"].value)
    assert run.scores.latency_ms == {"p50": 4.217, "p95": 6.83}
    assert run.scores.cost is not None
    assert run.gallery is not None
    assert len(run.gallery.mistakes) == 3
    assert run.augmentation is not None
    measured = run_directory / "export" / "10" / "measurement.json"
    assert run.export_bytes == measured.stat().st_size
    assert run.caveat is None


def test_the_best_validation_score_is_corrected(run_directory: Path) -> None:
    found = load_run(run_directory).correction
    assert found is not None
    # one of 12 failed; a pruned one is a candidate, too
    assert (found.metric, found.candidates, found.rows) == ("accuracy", 11, 56)


def test_an_old_record_of_scores_is_read(run_directory: Path) -> None:
    path = run_directory / "scores.json"
    content = read_json(path)
    for name in ("curves", "mistakes", "reliability", "cost", "robustness", "generalization"):
        del content[name]
    write_json(path, content)
    scores = load_run(run_directory).scores
    assert scores is not None
    assert (scores.cost, scores.robustness, scores.reliability) == (None, None, None)


def test_trials_after_the_test_was_opened_are_told(run_directory: Path) -> None:
    data = load_run(run_directory).data
    assert data is not None
    use = HeldOutUse(-1.0, "evaluate", data.fingerprint, 56)
    HeldOutUses((use,)).save(run_directory / "test_uses.json")
    caveat = load_run(run_directory).caveat
    assert caveat is not None
    assert "12 trials began after it was first opened" in caveat


def test_a_failed_trial_has_no_score(run_directory: Path) -> None:
    run = load_run(run_directory)
    assert not run.trials[4].usable
    assert math.isnan(run.score(run.trials[4]))
    assert run.histories["0004"] == {}


def test_the_newest_export_is_the_largest_number(run_directory: Path) -> None:
    (run_directory / "export" / "scratch").mkdir()
    assert load_run(run_directory).export == "10"


def test_validation_confusion_is_of_the_weighted_average(make_run) -> None:
    directory = make_run(trials=2, classes=("cat", "dog"))
    np.savez(directory / "split.npz", labels=[0, 1, 1, 0], predicted=[1, 3, 2])
    np.save(directory / "trial_0000" / "val_predictions.npy", [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    np.save(directory / "trial_0001" / "val_predictions.npy", [[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]])
    EnsembleRecord(("0000", "0001"), (0.25, 0.75), "convex", {}, (0.5, 0.5)).save(
        directory / "ensemble.json"
    )
    # True classes 1, 0, 1; the average is dog 0.775, cat 0.85, cat 0.725.
    confusion = load_run(directory).validation_confusion
    assert confusion is not None
    assert confusion.tolist() == [[1, 0], [1, 1]]


def test_executions_of_the_best_trial_are_compared(run_directory: Path) -> None:
    best = load_run(run_directory).best
    assert best is not None
    folder = run_directory / f"trial_{best.trial_id}"
    predictions = np.load(folder / "val_predictions.npy")
    np.save(folder / "execution_predictions.npy", np.stack([predictions] * 3))
    first, second = load_run(run_directory).repeats
    assert (first.name, first.trainings) == ("the best trial", 3)
    # Equal ones do not vary.
    assert all(abs(split.variance) < 1e-6 for split in first.losses.values())
    assert (second.name, second.trainings) == ("bag", 2)
    assert second.losses["brier"].variance > 0.01
    np.save(folder / "execution_predictions.npy", np.stack([predictions[1:]] * 3))
    with pytest.raises(StorageError, match=r"the best trial.*split\.npz"):
        load_run(run_directory)


def test_stages_that_have_not_run_are_missing(run_directory: Path) -> None:
    for name in ("ensemble.json", "scores.json", "split.npz", "data.json"):
        (run_directory / name).unlink()
    (run_directory / "trial_0003" / "result.json").unlink()
    run = load_run(run_directory)
    assert (run.ensemble, run.scores, run.validation_confusion, run.data) == (None,) * 4
    assert run.unfinished == 1


def test_empty_cells_of_the_history_are_not_a_number(run_directory: Path) -> None:
    path = run_directory / "trial_0000" / "history.csv"
    path.write_text("epoch,loss,val_accuracy\n0,,0.5\n1,0.25,0.75\n")
    history = load_run(run_directory).histories["0000"]
    np.testing.assert_array_equal(history["loss"], [np.nan, 0.25])


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere, which is not a folder"):
        load_run(tmp_path / "nowhere")


def test_a_foreign_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"which has no search\.json"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("search.json", {"objective": "val_accuracy"}, "is not a SearchRecord"),
        ("scores.json", {"metrics": {}}, "writes it\\."),
        ("scores.json", {"metrics": {"accuracy": 0.7}, "split": "test", "images": 3}, "evaluate"),
        (
            "ensemble.json",
            {
                "trial_ids": ["9999"],
                "weights": [1.0],
                "solver": "mean",
                "cross_fitted": {},
                "member_scores": [0.5],
            },
            r"Received: \['9999'\]",
        ),
        (
            "ensemble.json",
            {
                "trial_ids": ["0000"],
                "weights": [0.5, 0.5],
                "solver": "mean",
                "cross_fitted": {},
                "member_scores": [0.5],
            },
            "one weight and one score per member",
        ),
    ],
)
def test_a_damaged_record_is_named(
    run_directory: Path, name: str, content: dict, message: str
) -> None:
    write_json(run_directory / name, content)
    with pytest.raises(StorageError, match=message) as caught:
        load_run(run_directory)
    assert name in str(caught.value)


def test_a_damaged_history_is_named(run_directory: Path) -> None:
    (run_directory / "trial_0000" / "history.csv").write_text("epoch,loss\n0,nonsense\n")
    with pytest.raises(StorageError, match=r"history\.csv should be a table of numbers"):
        load_run(run_directory)


def test_predictions_of_another_split_are_refused(run_directory: Path) -> None:
    with np.load(run_directory / "split.npz") as arrays:
        np.savez(
            run_directory / "split.npz",
            labels=arrays["labels"],
            predicted=arrays["predicted"][:-1],
        )
    with pytest.raises(StorageError, match="one row per validation image"):
        load_run(run_directory)
