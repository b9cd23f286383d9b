"""Run directories for trackers."""

import os

# Both report home when they are imported.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["WANDB_ERROR_REPORTING"] = "false"

import pytest
from tracked_runs import FakeRun

from kt_tuning.tracking import delivery


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)


@pytest.fixture
def run(tmp_path) -> FakeRun:
    return FakeRun(tmp_path / "photos")
