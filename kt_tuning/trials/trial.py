"""One trial, wherever it runs, and its record."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_tuner

from kt_tuning.core.atomic import sync_file, sync_folder
from kt_tuning.core.errors import KtTuningError, StorageError, disk_errors_explained
from kt_tuning.core.records import COMPLETED, PAUSED, PRUNED, TrialRecord
from kt_tuning.run.layout import HISTORY, PAUSE, RESULT
from kt_tuning.trials.keras_fast import forget_gradients
from kt_tuning.trials.spec import Report, TrialSpec, describe_failure
from kt_tuning.trials.tasks import Task
from kt_tuning.trials.training import Training
from kt_tuning.trials.trial_files import TrialFiles, mean_metrics

logger = logging.getLogger("kt_tuning")


def run_trial(
    spec: TrialSpec,
    report: Report,
    *,
    tasks: Sequence[Task],
    objectives: Sequence[keras_tuner.Objective],
) -> TrialRecord:
    """Train one configuration and write the results into `spec.directory`.

    A trial that was interrupted in any way continues after its last finished epoch.

    Args:
        spec: The configuration.
        report: Called after each epoch, and with several trainings after each of them.
        tasks: Hypermodel, data, training and evaluation; one task a fold.
        objectives: What is optimised; the first decides which epoch is best.

    Returns:
        The record, also written as `result.json`, or as `paused.json` if the trial has paused. A
        trial whose build or training raises is "FAILED" with the reason; only errors that every
        trial would share are raised.

    Raises:
        KtTuningError: if the cause is in the arguments or data.
        keras_tuner.errors.FatalError: if the hypermodel says that nothing can work.
    """
    training = Training(spec, report, tasks, objectives)
    status, message = None, None
    try:
        with disk_errors_explained(spec.directory), forget_gradients():
            training.run()
    except keras_tuner.errors.FatalError:
        raise
    except Exception as error:
        if not spec.directory.is_dir():
            raise StorageError(
                f"{spec.directory} has been removed while its trial was running. Leave the run "
                "directory there during a search; the same search can be started again."
            ) from error
        if isinstance(error, KtTuningError):
            raise
        status, message = describe_failure(error)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    record = _record(spec, training, tasks, status, message)
    return end_trial(record, spec.directory)


def train_trial(
    spec: TrialSpec,
    report: Report,
    *,
    tasks: Sequence[Task],
    objectives: Sequence[keras_tuner.Objective],
) -> tuple[list[Any], TrialRecord]:
    """Train one configuration as `run_trial` does, but raise every error.

    Args:
        spec: The configuration.
        report: As for `run_trial`.
        tasks: As for `run_trial`.
        objectives: As for `run_trial`.

    Returns:
        What `HyperModel.fit` returned for each training, and the record, which is not written.
        For a training of an interrupted attempt, its metrics.
    """
    training = Training(spec, report, tasks, objectives)
    with disk_errors_explained(spec.directory), forget_gradients():
        training.run()
    earlier = [outcome.metrics for outcome in training.outcomes[: -len(training.results) or None]]
    return [*earlier, *training.results], _record(spec, training, tasks)


def end_trial(record: TrialRecord, directory: Path) -> TrialRecord:
    """Write the record of a trial that has ended or paused."""
    if record.status == PAUSED:
        record.save(directory / PAUSE)
        return record
    if (history := directory / HISTORY).exists():
        sync_file(history)
    sync_folder(directory.parent)
    record.save(directory / RESULT)
    TrialFiles(directory).clear()
    return record


def _record(
    spec: TrialSpec,
    training: Training,
    tasks: Sequence[Task],
    status: str | None = None,
    message: str | None = None,
) -> TrialRecord:
    """Return the record of a trial; `status` and `message` say that it failed, and why."""
    outcomes, model, state = training.outcomes, training.model, training.state
    seconds = sum(outcome.seconds for outcome in outcomes)
    epochs = sum(outcome.epochs for outcome in outcomes)
    metrics = mean_metrics(outcomes)
    if status is not None:
        seconds += time.monotonic() - training.began
        epochs += 0 if state is None else state.trained
        metrics = {}
    elif training.paused:
        status = PAUSED
    else:
        status = PRUNED if training.pruned else COMPLETED
    parameters = 0 if model is None or not model.built else int(model.count_params())
    origin_of = getattr(tasks[0].hypermodel, "backbone_origin", None)
    backbone = None if origin_of is None or model is None else origin_of(spec.hp)
    return TrialRecord(
        trial_id=spec.trial_id,
        number=spec.number,
        status=status,
        values=dict(spec.hp.values),
        metrics=metrics,
        best_epoch=outcomes[0].best_epoch if outcomes else spec.initial_epoch,
        epochs=epochs,
        seconds=round(seconds, 3),
        parameters=outcomes[0].parameters if outcomes else parameters,
        message=message or training.message,
        began=time.time() - seconds,
        scores=tuple(outcome.value for outcome in outcomes),
        backbone=None if backbone is None else dataclasses.asdict(backbone),
    )
