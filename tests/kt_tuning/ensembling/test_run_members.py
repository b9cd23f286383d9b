"""Candidates from run directories."""

import dataclasses

import numpy as np
import pytest
from member_cases import CLASSES, make_members, softmax

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.core.records import DataCard, PixelFormat, SearchRecord, TrialRecord
from kt_tuning.ensembling import join_candidates, read_candidates

LABELS = make_members([0.0], rows=60)[1]
CARD = DataCard("f00d", ("a", "b", "c", "d"), PixelFormat(6, 6, 3), {"train": [1, 1, 1, 1]})
SEARCH = SearchRecord("val_accuracy", "max", "random", 0, 3, None, None, "ConvNet", {})


def write_trial(directory, number, score, rows, *, status="COMPLETED", seed=0):
    folder = directory / f"trial_{number:04d}"
    folder.mkdir()
    metrics = {} if score is None else {"val_accuracy": score}
    TrialRecord(
        f"{number:04d}", number, status, {"filters": number % 2}, metrics, 1, 3, 1.0, 10
    ).save(folder / "result.json")
    if rows:
        logits = np.random.default_rng([seed, number]).normal(size=(rows, CLASSES))
        np.save(folder / "val_predictions.npy", softmax(logits).astype(np.float32))
    return folder


@pytest.fixture
def make_run(tmp_path):
    """A function that writes a run directory with trials of the scores given."""

    def make(name, scores, predicted, card=CARD, search=SEARCH):
        directory = tmp_path / name
        directory.mkdir()
        card.save(directory / "data.json")
        search.save(directory / "search.json")
        np.savez(directory / "split.npz", labels=LABELS, predicted=np.asarray(predicted))
        for number, score in enumerate(scores):
            write_trial(directory, number, score, len(predicted), seed=len(name))
        return directory

    return make


def test_trials_best_first(make_run):
    directory = make_run("run", [0.2, 0.9, 0.5], range(40, 60))
    found = read_candidates(directory)
    assert [member.name for member in found.members] == ["0001", "0002", "0000"]
    assert [member.score for member in found.members] == [0.9, 0.5, 0.2]
    assert found.members[0].configuration == {"filters": 1}
    np.testing.assert_array_equal(found.labels, LABELS[40:])
    saved = np.load(directory / "trial_0001" / "val_predictions.npy")
    np.testing.assert_array_equal(found.members[0].predictions, saved)


def test_lower_is_better(make_run):
    search = dataclasses.replace(SEARCH, direction="min")
    found = read_candidates(make_run("run", [0.2, 0.9, 0.5], range(20), search=search))
    assert [member.name for member in found.members] == ["0000", "0002", "0001"]


def test_failed_and_short_trials_are_left_out(make_run):
    directory = make_run("run", [0.2], range(20))
    write_trial(directory, 1, None, 0, status="FAILED")
    write_trial(directory, 2, 0.9, 10, status="PRUNED")
    write_trial(directory, 3, 0.9, 0)
    assert [member.name for member in read_candidates(directory).members] == ["0000"]


def test_a_run_without_a_whole_trial(make_run):
    directory = make_run("run", [], range(20))
    with pytest.raises(StorageError, match="all 20 validation images"):
        read_candidates(directory)


def test_a_damaged_split(make_run):
    directory = make_run("run", [0.1], range(20))
    np.savez(directory / "split.npz", labels=LABELS)
    with pytest.raises(StorageError, match="predicted"):
        read_candidates(directory)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(StorageError, match=r"search\.json"):
        read_candidates(tmp_path)


def test_models_are_loaded_by_trial(make_run):
    found = read_candidates(
        make_run("run", [0.2, 0.9], range(20)), load=lambda record: record.number
    )
    assert [member.load() for member in found.members] == [1, 0]
    assert read_candidates(make_run("other", [0.2], range(20))).members[0].load is None


def test_runs_join_on_the_rows_that_both_predicted(make_run):
    first = read_candidates(make_run("plain", [0.9, 0.2], [7, 3, 5, 50, 1]))
    folds = read_candidates(make_run("folds", [0.5], [1, 2, 3, 4, 5, 6, 7]), prefix="folds/")
    found = join_candidates([first, folds])
    np.testing.assert_array_equal(found.rows, [1, 3, 5, 7])
    np.testing.assert_array_equal(found.labels, LABELS[[1, 3, 5, 7]])
    by_name = {member.name: member.predictions for member in found.members}
    assert sorted(by_name) == ["0000", "0001", "folds/0000"]
    np.testing.assert_array_equal(by_name["folds/0000"], folds.members[0].predictions[[0, 2, 4, 6]])
    np.testing.assert_array_equal(by_name["0000"], first.members[0].predictions[[4, 1, 2, 0]])


def test_joined_members_are_in_the_order_of_log_loss(make_run):
    runs = [
        read_candidates(make_run(name, [0.5, 0.4], range(20)), prefix=f"{name}/")
        for name in ("a", "bb")
    ]
    found = join_candidates(runs)
    rows = np.arange(20)
    losses = [-np.log(m.predictions[rows, found.labels]).mean() for m in found.members]
    assert losses == sorted(losses)
    assert len(losses) == 4


def test_one_run_stays_as_it_is(make_run):
    run = read_candidates(make_run("run", [0.2, 0.9], [9, 3, 5]))
    found = join_candidates([run])
    assert [member.name for member in found.members] == ["0001", "0000"]
    np.testing.assert_array_equal(found.rows, [9, 3, 5])


def test_runs_on_other_images(make_run):
    other = dataclasses.replace(CARD, fingerprint="beef")
    runs = [
        read_candidates(make_run("a", [0.5], range(20))),
        read_candidates(make_run("b", [0.5], range(20), card=other)),
    ]
    with pytest.raises(DataError, match="f00d and beef"):
        join_candidates(runs)


def test_runs_without_common_rows(make_run):
    runs = [
        read_candidates(make_run("a", [0.5], range(20))),
        read_candidates(make_run("b", [0.5], range(18, 40))),
    ]
    with pytest.raises(DataError, match="have 2 in common"):
        join_candidates(runs)
