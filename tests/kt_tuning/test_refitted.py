"""When a run trains its best model again, and the time that it has."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from kt_tuning.core.records import TrialRecord
from kt_tuning.devices import speed
from kt_tuning.pipeline import RunOptions, job, refitted
from kt_tuning.pipeline.refitted import RunTime, _is_cheap
from kt_tuning.run.layout import RESULT


@pytest.fixture
def now(monkeypatch):
    """The clock stands at 110 seconds; the runs began at 100, on the machine of the constants."""
    monkeypatch.setattr(job.time, "monotonic", lambda: 110.0)
    monkeypatch.setattr(speed, "_measured", lambda: 1.0)
    monkeypatch.setattr(speed, "_network_measured", lambda: 1.0)


@pytest.mark.parametrize(
    ("limit", "search", "refit"),
    [
        (None, None, None),
        # 60 less 10 before and 24 after the search; 2.5 for a probe to be solved again.
        (60.0, 23.5, 26.0),
        # 35% of the 266 that are left are for training the winner again.
        (300.0, 0.65 * 266, 266.0),
        # What comes after the search takes longer than that: a fifth is left in any case.
        (20.0, 4.0, -14.0),
    ],
)
def test_the_search_leaves_time_for_what_comes_after_it(now, limit, search, refit):
    clock = RunTime(began=100.0, limit=limit, finishing=24.0)
    assert clock.for_search() == pytest.approx(search)
    assert clock.for_refit() == pytest.approx(refit)


def test_networks_from_nothing_are_evaluated_soon_and_not_trained_again(now):
    data = SimpleNamespace(input_shape=(20, 50, 3), test=range(10_000))
    probes = RunTime.of(100.0, 400.0, data, ("linearprobe", "convnet"))
    assert (probes.finishing, probes.for_search()) == (49.0, pytest.approx(0.65 * 341))
    # 1 µs a pixel: 10 s.
    alone = RunTime.of(100.0, 400.0, data, ("convnet",))
    assert (alone.finishing, alone.for_search()) == (18.0, 372.0)
    assert RunTime.of(100.0, 400.0, data, ("convnet", "linearprobe")).for_search() == 341.0


def test_a_slow_machine_is_given_more_time_after_the_search(now, monkeypatch):
    monkeypatch.setattr(speed, "_measured", lambda: 2.0)
    monkeypatch.setattr(speed, "_network_measured", lambda: 3.0)
    data = SimpleNamespace(input_shape=(20, 50, 3), test=range(1000))
    assert RunTime.of(100.0, 400.0, data, ("linearprobe",)).finishing == 9 * 2 + 4 * 3
    # Of a long run it is a small part.
    assert RunTime.of(100.0, 4000.0, data, ("linearprobe",)).finishing == 9 + 4


PROBE = TrialRecord(
    "0", 0, "COMPLETED", {}, {"val_accuracy": 0.9}, 0, 1, 20.0, 10, backbone={"name": "Lite0"}
)
CUT_SHORT = dataclasses.replace(PROBE, message="cut short by the time limit after 16 of 72 images")


@pytest.mark.parametrize(
    ("trial", "limit", "began", "completed", "expected"),
    [
        (PROBE, 60.0, 100.0, False, True),
        # 110 is after the limit by more, or less, than the overrun that is allowed.
        (PROBE, 60.0, 40.0, False, False),
        (PROBE, 60.0, 53.0, False, True),
        (CUT_SHORT, 60.0, 100.0, False, False),
        (CUT_SHORT, 60.0, 100.0, True, True),
        (CUT_SHORT, None, 100.0, False, True),
        (dataclasses.replace(PROBE, backbone=None), None, 100.0, True, False),
    ],
    ids=[
        "a probe",
        "too late",
        "hardly too late",
        "cut short",
        "completed",
        "without a limit",
        "a network trained from scratch",
    ],
)
def test_a_refit_that_was_not_asked_for_takes_little_time(
    now, trial, limit, began, completed, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr(refitted, "_completed", lambda *_: completed)
    (tmp_path / "trial_0").mkdir()
    trial.save(tmp_path / "trial_0" / RESULT)
    tuner = SimpleNamespace(run_directory=tmp_path)
    clock = RunTime(began=began, limit=limit, finishing=0.0)
    assert _is_cheap(tuner, [trial], None, RunOptions(), clock) is expected
