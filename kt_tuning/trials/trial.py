"""One trial: its trainings on each fold and execution, and its record."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_tuner

from kt_tuning.core.atomic import sync_file
from kt_tuning.core.errors import KtTuningError, StorageError, full_disk_explained
from kt_tuning.core.records import COMPLETED, PAUSED, PRUNED, TrialRecord
from kt_tuning.core.units import count
from kt_tuning.run.layout import HISTORY, PAUSE, RESULT
from kt_tuning.trials.keras_fast import forget_gradients
from kt_tuning.trials.spec import Decision, Progress, Report, TrialSpec, describe_failure
from kt_tuning.trials.tasks import Task
from kt_tuning.trials.training import Training
from kt_tuning.trials.trial_files import Outcome, Run, TrialFiles, mean_metrics

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
    trial = _Trial(spec, report, tasks, objectives)
    status, message = None, None
    try:
        with full_disk_explained(spec.directory), forget_gradients():
            trial.run()
    except (KtTuningError, keras_tuner.errors.FatalError):
        raise
    except Exception as error:
        if not spec.directory.is_dir():
            raise StorageError(
                f"{spec.directory} has been removed while its trial was running. Leave the run "
                "directory there during a search; the same search can be started again."
            ) from error
        status, message = describe_failure(error)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    return end_trial(trial.record(status, message), spec.directory)


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
    trial = _Trial(spec, report, tasks, objectives)
    with full_disk_explained(spec.directory), forget_gradients():
        trial.run()
    training = trial.training
    earlier = [outcome.metrics for outcome in training.outcomes[: -len(training.results) or None]]
    return [*earlier, *training.results], trial.record(None, None)


def end_trial(record: TrialRecord, directory: Path) -> TrialRecord:
    """Write the record of a trial that has ended or paused."""
    if record.status == PAUSED:
        record.save(directory / PAUSE)
        return record
    if (history := directory / HISTORY).exists():
        sync_file(history)
    record.save(directory / RESULT)
    TrialFiles(directory).clear()
    return record


class _Trial:
    """The state of one trial."""

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        tasks: Sequence[Task],
        objectives: Sequence[keras_tuner.Objective],
    ) -> None:
        self.spec = spec
        self.report = report
        self.tasks = tasks
        several = len(tasks) * spec.executions > 1
        self.files = TrialFiles(spec.directory, several=several)
        self.training = Training(spec, report, tasks, objectives, self.files)
        self.message: str | None = None
        self.pruned = False

    def run(self) -> None:
        runs, outcomes = self.training.runs, self.training.outcomes
        for run in runs[len(outcomes) :]:
            if outcomes and self._late():
                self.message = f"{len(outcomes)} of {len(runs)} trainings within the time limit"
                break
            outcome = self.training.train(run)
            if self.training.paused:
                # Its checkpoint is kept.
                self.message = f"paused after {count(outcome.epochs, 'epoch')}"
                break
            self.files.note(outcomes)
            if not self._continues(run, outcome):
                break
        folds = [run.fold for run in runs[: len(self.tasks)]]
        self.files.finish(folds, self.spec.executions)

    def _late(self) -> bool:
        return self.spec.deadline is not None and time.monotonic() >= self.spec.deadline

    def _continues(self, run: Run, outcome: Outcome) -> bool:
        runs = self.training.runs
        self.message = self.message or outcome.message
        self.pruned = outcome.pruned
        if len(runs) > 1 and not self.pruned:
            done = sum(outcome.epochs for outcome in self.training.outcomes)
            later = (len(runs) - run.index - 1) * self.spec.epochs
            progress = Progress(done, done + later, outcome.value, step=run.index)
            if self.report(progress) is Decision.STOP and later:
                self.pruned = True
                self.message = f"pruned after {run.index + 1} of {len(runs)} trainings"
        return not self.pruned

    def record(self, status: str | None, message: str | None) -> TrialRecord:
        """Return the record of the trial.

        Args:
            status: Status of a trial that failed, else None.
            message: Reason of the failure, else None.
        """
        spec, training, outcomes = self.spec, self.training, self.training.outcomes
        seconds = sum(outcome.seconds for outcome in outcomes)
        epochs = sum(outcome.epochs for outcome in outcomes)
        if status is not None:
            seconds += time.monotonic() - training.began
            epochs += 0 if training.state is None else training.state.trained
        model = training.model
        parameters = 0 if model is None or not model.built else int(model.count_params())
        return TrialRecord(
            trial_id=spec.trial_id,
            number=spec.number,
            status=status or self._status(),
            values=dict(spec.hp.values),
            metrics=mean_metrics(outcomes) if status is None else {},
            best_epoch=outcomes[0].best_epoch if outcomes else spec.initial_epoch,
            epochs=epochs,
            seconds=round(seconds, 3),
            parameters=outcomes[0].parameters if outcomes else parameters,
            message=message or self.message,
            began=time.time() - seconds,
            scores=tuple(outcome.value for outcome in outcomes),
            backbone=self._backbone(),
        )

    def _backbone(self) -> dict[str, str | None] | None:
        """Return the origin of the pre-trained network, if the model has one."""
        origin_of = getattr(self.tasks[0].hypermodel, "backbone_origin", None)
        if origin_of is None or self.training.model is None:
            return None
        origin = origin_of(self.spec.hp)
        return None if origin is None else dataclasses.asdict(origin)

    def _status(self) -> str:
        if self.training.paused:
            return PAUSED
        return PRUNED if self.pruned else COMPLETED
