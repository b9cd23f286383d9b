"""One trial, wherever it runs, and its record."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras_tuner

from kt_tuning.core.errors import disk_errors_explained
from kt_tuning.core.records import TrialRecord
from kt_tuning.trials.keras_fast import forget_gradients
from kt_tuning.trials.spec import Report, TrialSpec, describe_failure
from kt_tuning.trials.tasks import Task
from kt_tuning.trials.training import Training
from kt_tuning.trials.trial_files import TrialFiles

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
    except Exception as error:
        status, message = describe_failure(error, spec.directory)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    return TrialFiles(spec.directory).end(training.record(status, message))


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
    return [*earlier, *training.results], training.record()
