import dataclasses
import io
import logging
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from kt_tuning.core.records import TrialRecord
from kt_tuning.search.display import SearchDisplay
from kt_tuning.trials import Progress

GOOD = TrialRecord("0", 0, "COMPLETED", {}, {"val_accuracy": 0.75}, 3, 4, 61.0, 10)
BAD = TrialRecord("1", 1, "FAILED", {}, {}, 0, 0, 2.0, 0, "ValueError: [too] many\nmore")
DIVERGED = dataclasses.replace(BAD, epochs=1, message="the loss became nan in epoch 2")
LARGE = dataclasses.replace(BAD, status="INFEASIBLE", message="24,000,000 parameters")
PAUSED = dataclasses.replace(GOOD, status="PAUSED", epochs=1)


def display(console):
    return SearchDisplay(
        "val_accuracy", max_trials=9, time_limit=600, done=2, used=30, console=console
    )


def test_a_terminal_shows_the_running_trial_and_keeps_a_line_a_trial(monkeypatch):
    monkeypatch.setattr("kt_tuning.search.display.time", SimpleNamespace(monotonic=lambda: 0.0))
    written = io.StringIO()
    console = Console(
        file=written, force_terminal=True, width=120, color_system=None, _environ={"TERM": "xterm"}
    )
    with display(console) as shown:
        shown.trial_started(0, 4)
        shown.epoch_ended(0, Progress(1, 4, 0.5, step=0))
        shown._live.refresh()
        shown.trial_ended(GOOD, [GOOD])
        shown.trial_started(1, 4)
        shown._live.refresh()
        shown.trial_ended(BAD, [GOOD])
    text = written.getvalue()
    assert "3 of 9 trials, 0:30 of 10:00" in text
    assert "epoch 1/4" in text
    assert "val_accuracy 0.5000" in text
    assert "trial 0: val_accuracy 0.7500 in 4 epochs, 1:01 (best so far)" in text
    assert "trial 1: failed after 0:02: ValueError: [too] many" in text


def test_without_a_terminal_trials_are_logged(caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    written = io.StringIO()
    for console in (None, Console(file=written)):
        with display(console) as shown:
            shown.trial_started(0, 4)
            shown.trial_ended(GOOD, [GOOD])
    assert caplog.messages == ["trial 0: val_accuracy 0.7500 in 4 epochs, 1:01 (best so far)"] * 2
    assert written.getvalue() == ""


def test_without_a_terminal_a_long_trial_says_how_far_it_is_at_times(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "kt_tuning.search.display.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    with display(Console(file=io.StringIO())) as shown:
        shown.trial_started(0, 40)
        for epoch in range(1, 9):
            clock.now = 10.0 * epoch
            shown.epoch_ended(0, Progress(epoch, 40, 0.5, step=epoch - 1))
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "trial 0: epoch 3/40, val_accuracy 0.5000",
        "trial 0: epoch 6/40, val_accuracy 0.5000",
    ]
    assert "2 of 9 trials, 1:00 of 10:00" in caplog.messages[0]


@pytest.mark.parametrize("installed", [True, False])
def test_a_notebook_without_ipywidgets_has_printed_lines(installed, monkeypatch):
    found = object() if installed else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    written = io.StringIO()
    shown = display(Console(file=written, force_jupyter=True))
    assert (shown._live is not None) is installed
    if not installed:
        with shown:
            shown.trial_started(0, 4)
            shown.trial_ended(GOOD, [GOOD])
        assert "trial 0: val_accuracy 0.7500 in 4 epochs" in written.getvalue()


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (DIVERGED, "trial 1: failed after 1 epoch, 0:02: the loss became nan in epoch 2"),
        (LARGE, "trial 1: infeasible after 0:02: 24,000,000 parameters"),
        (PAUSED, "trial 0: val_accuracy 0.7500 in 1 epoch, 1:01, paused"),
    ],
)
def test_a_line_says_what_a_trial_came_to_and_what_it_cost(record, line, caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    display(None).trial_ended(record, [])
    assert caplog.messages == [line]


@pytest.mark.parametrize(
    ("max_trials", "time_limit", "left"),
    [
        # One trial and a quarter took 10 s; of 9 trials 2 were there before: 5.75 are to come.
        (9, None, 46.0),
        (9, 60, 20.0),
        (None, 60, 20.0),
        (None, None, None),
    ],
)
def test_the_time_left_is_that_of_the_limit_that_comes_first(max_trials, time_limit, left):
    shown = SearchDisplay(
        "val_accuracy", max_trials=max_trials, time_limit=time_limit, done=2, used=30, console=None
    )
    shown.trial_started(0, 4)
    shown.trial_ended(GOOD, [GOOD])
    shown.trial_started(1, 4)
    shown.epoch_ended(1, Progress(1, 4, 0.5, step=0))
    assert shown._seconds_left(elapsed=10.0) == pytest.approx(left)


def test_a_breakpoint_has_the_terminal_for_itself(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    running = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: running.append(shown._live.is_started))
    debugger = sys.breakpointhook
    with display(console) as shown:
        shown.trial_started(0, 4)
        sys.breakpointhook()
        shown.trial_started(1, 4)
        running.append(shown._live.is_started)
    assert running == [False, True]
    assert sys.breakpointhook is debugger
