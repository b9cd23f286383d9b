"""What trackers are told, whatever happens to them and to the search."""

import importlib.util
import logging
import threading
import time

import pytest
from tracked_runs import Recorder

from kt_tuning.core.errors import MissingExtraError, OptionError
from kt_tuning.core.records import FAILED
from kt_tuning.tracking import TRACKERS, delivery, find_trackers


def nothing():
    raise AssertionError("no tracker takes models")


def warnings_in(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def until(condition):
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.005)


def finish(tracking, best=None, model=nothing):
    tracking.finished = True
    tracking.close(best, model)


def test_a_tracker_is_told_everything_in_order(run):
    tracker = Recorder()
    tracking = run.tracking(tracker)
    trial = run.train(0, 0.5, 0.75)
    tracking.tell(trial)
    ended = run.end(trial)
    tracking.tell(ended)
    finish(tracking, ended.record)
    assert tracker.calls == [
        ("search began", "photos"),
        ("began", "0", 0),
        ("epoch", "0", 0, 0.5),
        ("epoch", "0", 1, 0.75),
        ("ended", "0", "COMPLETED"),
        ("search ended", "0", True),
    ]


def test_an_interrupted_search_is_said_to_be_unfinished(run):
    tracker = Recorder()
    run.tracking(tracker).close(None, nothing)
    assert tracker.calls[-1] == ("search ended", None, False)


def test_one_that_was_down_catches_up_after_one_warning(run, caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    tracker = Recorder()
    tracker.down = True
    tracking = run.tracking(tracker)
    trial = run.train(0, 0.5)
    tracking.tell(trial)
    until(lambda: len(warnings_in(caplog)) == 1)
    run.epoch(trial, 0.75)
    tracking.tell(trial)
    tracker.down = False
    until(lambda: ("epoch", "0", 1, 0.75) in tracker.calls)
    tracking.tell(run.end(trial))
    finish(tracking)
    assert [call[0] for call in tracker.calls] == [
        "search began",
        "began",
        "epoch",
        "epoch",
        "ended",
        "search ended",
    ]
    (warning,) = warnings_in(caplog)
    assert "recorder cannot be reached: no route to host." in warning.getMessage()
    assert "recorder answers again" in caplog.text


def test_what_was_missed_to_the_end_comes_with_the_next_run(run, caplog):
    tracker = Recorder()
    tracker.down = True
    tracking = run.tracking(tracker)
    ended = run.end(run.train(0, 0.5, 0.75))
    tracking.tell(ended)
    finish(tracking, ended.record)
    assert len(warnings_in(caplog)) == 1
    again = Recorder()
    finish(run.tracking(again, trials=[ended.record]), ended.record)
    assert [call[0] for call in again.calls].count("epoch") == 2
    assert again.calls[-2:] == [("ended", "0", "COMPLETED"), ("search ended", "0", True)]


def test_a_search_that_is_resumed_tells_nothing_twice(run):
    first, second = Recorder(), Recorder()
    done, half = run.end(run.train(0, 0.5, 0.75)), run.train(1, 0.6)
    tracking = run.tracking(first)
    tracking.tell(done)
    tracking.tell(half)
    tracking.close(done.record, nothing)
    tracking = run.tracking(second, trials=[done.record])
    run.epoch(half, 0.8)
    tracking.tell(run.end(half))
    finish(tracking)
    assert second.calls == [
        ("search began", "photos"),
        ("began", "1", 1),
        ("epoch", "1", 1, 0.8),
        ("ended", "1", "COMPLETED"),
        ("search ended", None, True),
    ]


def test_a_row_that_is_half_written_waits(run):
    tracker = Recorder()
    tracking = run.tracking(tracker)
    trial = run.train(0, 0.5)
    with (trial.directory / "history.csv").open("a") as file:
        file.write("1,2.0,,0.7")
    tracking.tell(trial)
    finish(tracking)
    assert [call for call in tracker.calls if call[0] == "epoch"] == [("epoch", "0", 0, 0.5)]


def test_a_trial_that_goes_back_to_its_checkpoint_is_not_told_again(run):
    tracker = Recorder()
    tracking = run.tracking(tracker)
    trial = run.train(0, 0.5, 0.75)
    tracking.tell(trial)
    until(lambda: len(tracker.calls) == 4)
    (trial.directory / "history.csv").unlink()
    for accuracy in (0.5, 0.75, 0.8):
        run.epoch(trial, accuracy)
    tracking.tell(trial)
    finish(tracking)
    assert [call[2] for call in tracker.calls if call[0] == "epoch"] == [0, 1, 2]


def test_one_trial_that_a_tracker_refuses_does_not_keep_back_the_others(run):
    tracker = Recorder()
    tracker.hates = "0"
    tracking = run.tracking(tracker)
    tracking.tell(run.end(run.train(0, 0.5)))
    tracking.tell(run.end(run.train(1, 0.6), status=FAILED))
    until(lambda: ("ended", "1", "FAILED") in tracker.calls)
    tracker.hates = None
    finish(tracking)
    assert ("ended", "0", "COMPLETED") in tracker.calls


def test_a_search_waits_for_no_tracker_and_in_the_end_not_for_long(run, caplog, monkeypatch):
    class Stuck(Recorder):
        free = threading.Event()

        def epoch(self, trial, epoch):
            self.calls.append("stuck")
            self.free.wait()

    monkeypatch.setattr(delivery, "LAST_WAIT", 0.05)
    tracker = Stuck()
    tracking = run.tracking(tracker)
    tracking.tell(run.train(0, 0.5, 0.75))
    until(lambda: "stuck" in tracker.calls)
    tracking.tell(run.train(1, 0.5))
    finish(tracking)
    (warning,) = warnings_in(caplog)
    assert "it is slow" in warning.getMessage()
    (thread,) = [t for t in threading.enumerate() if t.name == "tracker recorder"]
    tracker.free.set()
    thread.join(10)
    # Whoever runs the search again has another one that tells the rest.
    assert tracker.calls == [("search began", "photos"), ("began", "0", 0), "stuck"]


class Collector(Recorder):
    takes_models = True

    def search_ended(self, outcome):
        self._hear("model", outcome.model)


def test_a_tracker_that_takes_models_gets_each_best_one_once(run):
    best, better = (run.end(run.train(number, 0.5)).record for number in (0, 1))
    tracker = Collector()
    for record, model in ((best, lambda: "first"), (best, nothing), (better, lambda: "second")):
        finish(run.tracking(tracker), record, model)
    models = [call[1] for call in tracker.calls if call[0] == "model"]
    assert models == ["first", None, "second"]


def test_a_model_that_cannot_be_made_is_a_warning(run, caplog):
    def broken():
        raise ValueError("no such layer")

    finish(run.tracking(Collector()), run.end(run.train(0, 0.5)).record, broken)
    assert "The best model is not logged: it cannot be made (no such layer)." in caplog.text


@pytest.mark.parametrize("cut", ['{"trial": "0", "ep', '{"trial": "0", "epochs": 2}'])
def test_a_note_that_a_kill_cut_short_was_never_written(run, cut):
    tracker = Recorder()
    trial = run.train(0, 0.5)
    tracking = run.tracking(tracker)
    tracking.tell(trial)
    tracking.close(None, nothing)
    with (run.directory / "tracking" / "recorder.jsonl").open("a") as file:
        file.write(cut)
    run.epoch(trial, 0.75)
    again = Recorder()
    for _ in range(2):
        tracking = run.tracking(again)
        tracking.tell(trial)
        tracking.close(None, nothing)
    assert [call for call in again.calls if call[0] == "epoch"] == [("epoch", "0", 1, 0.75)]


def test_names_and_trackers_are_found_in_order():
    mine = Recorder()
    assert [tracker.name for tracker in find_trackers(["csv", mine])] == ["csv", "recorder"]
    assert [tracker.name for tracker in find_trackers("tensorboard")] == ["tensorboard"]
    assert find_trackers(None) == []
    assert find_trackers(mine) == [mine]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("neptune", "Unknown tracker 'neptune'. Known: tensorboard, csv, mlflow, wandb"),
        (["csv", "csv"], "'csv' is passed twice"),
    ],
)
def test_wrong_names_are_refused(asked, message):
    with pytest.raises(OptionError, match=message):
        find_trackers(asked)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_extra_is_named(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'kt-tuning\[{name}\]'"):
        find_trackers(name)


@pytest.mark.parametrize("name", TRACKERS)
def test_each_has_the_name_of_its_row(name):
    if name in ("mlflow", "wandb"):
        pytest.importorskip(name, reason=f"the extra {name} is not installed")
    (tracker,) = find_trackers(name)
    assert tracker.name == name
