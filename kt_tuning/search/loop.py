"""The search as a driver of an executor: which trial is next, and what came of each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import keras_tuner

from kt_tuning.records import COMPLETED, FAILED, RESULT, TrialRecord
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials import TrialSpec

HOPELESS = 5
"""Failed trials at the start after which a search gives up: nothing it tries can work."""
WORTHWHILE_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Limits:
    """When no further trial is begun.

    Attributes:
        epochs: Epochs of a full training.
        deadline: Value of `time.monotonic()` at which training stops, or None.
    """

    epochs: int
    deadline: float | None

    @property
    def worthwhile_epochs(self) -> int:
        """With fewer epochs than these before the deadline a trial is not worth its time."""
        return min(WORTHWHILE_EPOCHS, self.epochs)


class SearchLoop:
    """Takes trials from the tuner's oracle and returns what came of them.

    Args:
        tuner: Its oracle proposes; its hooks are called around each trial.
        run: Where trials are kept.
        display: Shown every epoch and trial.
        limits: When no further trial is begun.
        specify: KerasTuner trial -> what the trial is told.
    """

    def __init__(
        self,
        tuner: keras_tuner.Tuner,
        run: RunDirectory,
        display: SearchDisplay,
        limits: Limits,
        specify: Callable[[Any], TrialSpec],
    ) -> None:
        self._tuner = tuner
        self._run = run
        self._display = display
        self._limits = limits
        self._specify = specify
        self._running: dict[str, str] = {}
        self._crashed: set[str] = set()

    def next_job(self) -> TrialSpec | None:
        """The next trial, or None if there is none now."""
        while not self._hopeless() and self._time_for_another():
            spec = self._take()
            if spec is None or not (spec.directory / RESULT).exists():
                return spec
            # A kill came after the result and before the oracle heard of it.
            self.finished(spec, TrialRecord.load(spec.directory / RESULT))
        return None

    def _take(self) -> TrialSpec | None:
        # The oracle tells those who run trials apart by these names.
        seat = next(
            name
            for number in range(len(self._running) + 1)
            if (name := f"{self._tuner.tuner_id}.{number}") not in self._running.values()
        )
        trial = self._tuner.oracle.create_trial(seat)
        if trial.status != "RUNNING":
            return None
        self._running[trial.trial_id] = seat
        spec = self._specify(trial)
        self._display.trial_started(spec.number, spec.epochs)
        self._tuner.on_trial_begin(trial)
        return spec

    def reported(self, job: TrialSpec, epoch: int, epochs: int, value: float) -> bool:
        """Hear of an epoch, and ask the oracle's pruner, if it has one, about the trial."""
        self._display.epoch_ended(job.number, epoch, epochs, value)
        oracle = self._tuner.oracle
        if not isinstance(oracle, OptunaOracle):
            return True
        return oracle.report(job.trial_id, epoch - 1, value)

    def finished(self, job: TrialSpec, result: TrialRecord) -> None:
        """Tell the oracle what came of a trial."""
        oracle = self._tuner.oracle
        trial = oracle.get_trial(job.trial_id)
        # It may have been built in another process, where new hyperparameters appeared.
        trial.hyperparameters = job.hp
        # A pruned trial has a value like any other; what else it is the oracle knows.
        trial.status = FAILED if result.status == FAILED else COMPLETED
        trial.message = result.message
        if trial.status == COMPLETED:
            oracle.update_trial(job.trial_id, result.metrics, step=result.best_epoch)
        self._tuner.on_trial_end(trial)
        del self._running[job.trial_id]
        self._display.trial_ended(result, self._run.best_trials(1))

    def crashed(self, job: TrialSpec, reason: str) -> bool:
        """Give a trial whose process died a second chance, and fail it after that."""
        if job.trial_id not in self._crashed:
            self._crashed.add(job.trial_id)
            return True
        record = TrialRecord(
            trial_id=job.trial_id,
            number=job.number,
            status=FAILED,
            values=dict(job.hp.values),
            metrics={},
            best_epoch=0,
            epochs=0,
            seconds=0.0,
            parameters=0,
            message=f"{reason}, twice",
        )
        record.save(job.directory / RESULT)
        self.finished(job, record)
        return False

    def _hopeless(self) -> bool:
        return len(self._run.trials()) >= HOPELESS and not self._run.best_trials(1)

    def _time_for_another(self) -> bool:
        deadline = self._limits.deadline
        if deadline is None:
            return True
        trials = [record for record in self._run.trials() if record.epochs]
        if not trials:
            # Nothing is known of how long an epoch takes; one trial is always worth a try.
            return not self._running or time.monotonic() < deadline
        epoch = min(record.seconds / record.epochs for record in trials)
        return deadline - time.monotonic() >= epoch * self._limits.worthwhile_epochs
