"""The best validation score of a run directory, corrected for having been chosen."""

import dataclasses

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.evaluation import METRICS, corrected_best, corrected_best_of_run

ROWS, CLASSES = 30, 3


@pytest.fixture
def run(tmp_path):
    """A run of four trials: completed, failed, pruned, and pruned before its last fold."""

    def make(objective="val_accuracy"):
        rng = np.random.default_rng(0)
        labels = rng.integers(CLASSES, size=2 * ROWS)
        predicted = rng.permutation(2 * ROWS)[:ROWS]
        np.savez(tmp_path / "split.npz", labels=labels, predicted=predicted)
        SearchRecord(
            objective=objective,
            direction="max",
            strategy="random",
            seed=0,
            epochs=1,
            max_trials=4,
            time_limit=None,
            hypermodel="ConvNet",
            versions={},
        ).save(tmp_path / "search.json")
        predictions = rng.dirichlet(np.ones(CLASSES), size=(2, ROWS)).astype(np.float32)
        for number, status, rows in (
            (2, "PRUNED", predictions[1]),
            (0, "COMPLETED", predictions[0]),
            (1, "FAILED", None),
            (3, "PRUNED", predictions[1][:20]),
        ):
            folder = tmp_path / f"trial_{9 - number}"
            folder.mkdir()
            TrialRecord(
                str(9 - number),
                number,
                status,
                {},
                {},
                best_epoch=0,
                epochs=1,
                seconds=1.0,
                parameters=1,
            ).save(folder / "result.json")
            if rows is not None:
                np.save(folder / "val_predictions.npy", rows)
        return tmp_path, predictions, labels[predicted]

    return make


@pytest.mark.parametrize(
    ("objective", "metric"),
    [("val_accuracy", "accuracy"), ("val_loss", "log_loss"), ("val_f1", "f1")],
)
def test_candidates_in_the_order_of_their_numbers(run, objective, metric):
    directory, predictions, labels = run(objective)
    found = corrected_best_of_run(directory)
    expected = corrected_best(predictions, labels, metric, resamples=100)
    assert found.best == (0, 2)[expected.best]
    assert found.corrected == expected.corrected
    assert (found.metric, found.candidates, found.raw) == (metric, 2, expected.raw)


def train_for_epochs(directory, **fields):
    for path in directory.glob("trial_*/result.json"):
        dataclasses.replace(TrialRecord.load(path), epochs=12).save(path)
    path = directory / "search.json"
    dataclasses.replace(SearchRecord.load(path), epochs=12, **fields).save(path)


def test_epochs_that_were_chosen_on_the_same_rows_are_said(run):
    directory, _, _ = run()
    assert not corrected_best_of_run(directory).best_epochs
    train_for_epochs(directory)
    assert "each best epoch was chosen on the same images" in str(corrected_best_of_run(directory))


@pytest.mark.parametrize("fields", [{}, {"folds": 3}, {"executions": 2}])
def test_the_choice_of_the_epoch_is_corrected_by_the_other_epochs(run, fields):
    directory, predictions, labels = run()
    train_for_epochs(directory, **fields)
    for number, others in ((9, "1,0.35\n2,0.3\n3,nan\n"), (7, "1,0.5\n")):
        history = f"epoch,val_accuracy\n0,0.9\n{others}"
        (directory / f"trial_{number}" / "history.csv").write_text(history)
    found = corrected_best_of_run(directory)
    if fields:
        # Each training has chosen its own epoch, and the score is the mean of all.
        assert (found.epochs, found.best_epochs) == (0, True)
    else:
        expected = corrected_best(predictions, labels, other_epochs=[0.35, 0.3, 0.5])
        assert found.corrected == expected.corrected
        assert found.epochs == 5
        assert not found.best_epochs


def test_an_objective_that_is_no_metric(run):
    assert corrected_best_of_run(run("val_mae")[0]) is None


def test_unknown_labels(run):
    directory, _, _ = run()
    (directory / "split.npz").unlink()
    assert corrected_best_of_run(directory) is None


def test_no_predictions(run):
    directory, _, _ = run()
    for path in directory.glob("trial_*/val_predictions.npy"):
        path.unlink()
    assert corrected_best_of_run(directory) is None


def test_no_search(tmp_path):
    with pytest.raises(StorageError, match=r"search\.json"):
        corrected_best_of_run(tmp_path)


@pytest.mark.parametrize("name", ["split.npz", "trial_9/val_predictions.npy"])
def test_damaged_files(run, name):
    directory, _, _ = run()
    (directory / name).write_bytes(b"not an array")
    with pytest.raises(StorageError, match=name):
        corrected_best_of_run(directory)


@pytest.mark.parametrize(
    ("objective", "metric", "resamples"),
    [("val_accuracy", "accuracy", 1000), ("val_f1", "f1", 100)],
)
def test_metrics_that_take_longer_get_fewer_resamples(run, objective, metric, resamples):
    directory, predictions, labels = run(objective)
    expected = corrected_best(predictions, labels, metric, resamples=resamples)
    assert corrected_best_of_run(directory).corrected == expected.corrected


@pytest.mark.parametrize(("objective", "metric"), [("val_accuracy", "accuracy"), ("val_f1", "f1")])
def test_a_trial_of_several_executions_is_one_candidate(run, objective, metric):
    directory, _, labels = run(objective)
    # Alone the second execution of trial 2 would win; its mean loses to trial 0.
    right = np.eye(CLASSES)[labels]
    executions = np.stack([np.roll(right, 1, axis=1), right])
    np.save(directory / "trial_7" / "execution_predictions.npy", executions)
    best = right.copy()
    best[:5] = np.roll(best[:5], 1, axis=1)
    np.save(directory / "trial_9" / "val_predictions.npy", best)
    found = corrected_best_of_run(directory)
    assert (found.candidates, found.best) == (2, 0)
    assert found.raw == METRICS[metric].function(labels, best)
    # Without trial 0 the mean of its executions, of which one is always wrong, is what it scored.
    (directory / "trial_9" / "result.json").unlink()
    assert corrected_best_of_run(directory).raw == 0.5
