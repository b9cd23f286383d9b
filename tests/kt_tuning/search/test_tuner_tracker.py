"""A real search that is logged while it runs."""

import logging
import os

import pytest

from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.tracking import Tracker

# It reports home when it is imported.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


class Diary(Tracker):
    """Writes down what it is told."""

    name = "diary"

    def __init__(self):
        self.calls = []

    def search_began(self, search):
        assert isinstance(search.record, SearchRecord)
        self.calls.append(("search began", search.name))

    def trial_began(self, trial, *, logged):
        self.calls.append(("began", trial.number, trial.values))

    def epoch(self, trial, epoch):
        self.calls.append(("epoch", trial.number, epoch.step, epoch.metrics["val_accuracy"]))

    def trial_ended(self, trial, record):
        assert isinstance(record, TrialRecord)
        self.calls.append(("ended", trial.number, record.status))

    def search_ended(self, outcome):
        self.calls.append(("search ended", outcome.best.number, outcome.finished))

    def of(self, kind):
        return [call[1:] for call in self.calls if call[0] == kind]


# With workers, one of which is killed: in `test_workers.py`.
def test_a_tracker_hears_of_every_epoch_and_trial_once(make_tuner, stripes):
    diary = Diary()
    tuner = make_tuner(tracker=diary, max_trials=2, epochs=2)
    tuner.search(stripes)
    history = tuner.history()
    told = {(number, step): value for number, step, value in diary.of("epoch")}
    assert len(told) == len(diary.of("epoch")) == len(history) == 4
    for row in history.itertuples():
        assert told[row.number, row.epoch] == row.val_accuracy
    assert sorted(diary.of("ended")) == [(0, "COMPLETED"), (1, "COMPLETED")]
    units = tuner.results().set_index("number")["hp/units"]
    assert [(number, values["units"]) for number, values in diary.of("began")] == [
        (number, units[number]) for number in (0, 1)
    ]
    assert diary.of("search ended") == [(tuner.results()["val_accuracy"].argmax(), True)]
    # A search that goes on tells what is new.
    more = Diary()
    make_tuner(tracker=more, max_trials=3, epochs=2).search(stripes)
    assert sorted(more.of("ended")) == [(2, "COMPLETED")]


def test_trials_from_before_the_tracker_was_asked_for_are_logged_too(make_tuner, stripes):
    make_tuner(max_trials=1).search(stripes)
    diary = Diary()
    make_tuner(max_trials=1, tracker=[diary]).search(stripes)
    assert diary.of("ended") == [(0, "COMPLETED")]
    assert len(diary.of("epoch")) == 2


def test_with_a_server_that_is_out_of_reach_the_search_finishes_with_one_warning(
    make_tuner, stripes, caplog
):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    from kt_tuning.tracking.mlflow import MlflowTracker

    # The discard port: nobody listens.
    tuner = make_tuner(tracker=MlflowTracker("http://127.0.0.1:9"))
    tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 2
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.name == "kt_tuning"
    assert "The tracker mlflow cannot be reached" in warning.getMessage()
