"""Project directories that stock KerasTuner has written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kt_tuning.core.records import COMPLETED, FAILED, TrialRecord
from kt_tuning.search.run_directory import RunDirectory

CHECKPOINT = "checkpoint.weights.h5"
"""File of a trial's folder: the weights that KerasTuner keeps, of the best epoch."""


def note_trials(oracle: keras_tuner.Oracle, run: RunDirectory) -> None:
    """Remember the trials of an oracle that have ended and are not recorded in the run directory.

    Nothing is written: the project can be opened by KerasTuner as before.

    Args:
        oracle: Has read `oracle.json`.
        run: The project directory.
    """
    known = {record.trial_id for record in run.trials()}
    for number, trial_id in enumerate(oracle.start_order):
        trial = oracle.trials[trial_id]
        ended = trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED)
        if ended and trial_id not in known:
            run.note(_record(trial, number))


def stock_weights(folder: Path) -> Path | None:
    """The weights that KerasTuner has kept of a trial; None if there are none.

    Args:
        folder: Of the trial.
    """
    path = folder / CHECKPOINT
    return path if path.is_file() else None


def _record(trial: Trial, number: int) -> TrialRecord:
    """A trial as a record; what KerasTuner does not note is 0."""
    completed = trial.status == TrialStatus.COMPLETED
    metrics = {
        name: _value(tracked.get_history(), trial.best_step, tracked.get_best_value())
        for name, tracked in trial.metrics.metrics.items()
    }
    return TrialRecord(
        trial_id=trial.trial_id,
        number=number,
        status=COMPLETED if completed else FAILED,
        values=dict(trial.hyperparameters.values),
        metrics=metrics if completed else {},
        best_epoch=trial.best_step or 0,
        epochs=0,
        seconds=0.0,
        parameters=0,
        message=trial.message,
    )


def _value(history: Sequence[Any], step: int, best: float) -> float:
    """A metric at the best step, or its best value if it was not measured then."""
    return float(next((one.mean() for one in history if one.step == step), best))
