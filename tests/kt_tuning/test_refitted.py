"""When `run` trains the best model again without being asked to."""

import dataclasses
from types import SimpleNamespace

import pytest

from kt_tuning.core.records import TrialRecord
from kt_tuning.pipeline import RunOptions
from kt_tuning.pipeline.refitted import RunTime, _is_cheap
from kt_tuning.run.layout import RESULT

PROBE = TrialRecord(
    "0", 0, "COMPLETED", {}, {"val_accuracy": 0.9}, 0, 1, 20.0, 10, backbone={"name": "Lite0"}
)
CUT_SHORT = dataclasses.replace(PROBE, message="cut short by the time limit after 16 of 72 images")


@pytest.mark.parametrize(
    ("trial", "limit", "expected"),
    [
        (PROBE, 60.0, True),
        (CUT_SHORT, 60.0, False),
        (CUT_SHORT, None, True),
        (dataclasses.replace(PROBE, backbone=None), None, False),
    ],
    ids=["a probe", "cut short", "without a limit", "a network from nothing"],
)
def test_a_refit_that_was_not_asked_for_takes_little_time(trial, limit, expected, tmp_path):
    (tmp_path / "trial_0").mkdir()
    trial.save(tmp_path / "trial_0" / RESULT)
    tuner = SimpleNamespace(run_directory=tmp_path)
    ensemble = SimpleNamespace(record=SimpleNamespace(trial_ids=("0",)))
    clock = RunTime(began=0.0, limit=limit, finishing=0.0)
    assert _is_cheap(tuner, ensemble, RunOptions(), clock) is expected
