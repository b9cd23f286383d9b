"""Input, progress, failures and crashes of a trial."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from hypermodels.backbone import error_text
from kt_tuning.core.errors import KtTuningError, StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import FAILED, INFEASIBLE, OUT_OF_MEMORY, TrialRecord
from kt_tuning.run.layout import DEATHS, WEIGHTS

MAX_CRASHES = 3
"""Crashes without a finished epoch in between after which a trial has failed."""


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """The configuration of a trial and how it is trained.

    Attributes:
        trial_id: KerasTuner's id.
        number: Order of start, from 0.
        hp: Hyperparameters with their values.
        epochs: Epochs of each training.
        directory: Directory of the trial.
        initial_epoch: Epochs that the trial in `origin` has trained.
        origin: Directory of the trial whose weights are the initial ones, or None.
        seed: Seed of initial weights, order and augmentation.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        least_epochs: The trial ends at once if this many epochs cannot end by the deadline,
        longest: or would take more seconds than this; infinity for no such limit.
        executions: Trainings on each fold with different seeds; their scores are averaged, and
            the weights of the first one are kept.
        limits: Upper limits of a model's costs, by name in `COSTS`.
    """

    trial_id: str
    number: int
    hp: keras_tuner.HyperParameters
    epochs: int
    directory: Path
    initial_epoch: int = 0
    origin: Path | None = None
    seed: int = 0
    deadline: float | None = None
    least_epochs: int = 0
    longest: float = math.inf
    executions: int = 1
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def record(self, status: str, **result: Any) -> TrialRecord:
        """Return the record of the trial.

        Args:
            status: See `TrialRecord`.
            **result: Its other fields; numbers that are not given are 0.
        """
        empty: dict[str, Any] = {"metrics": {}, "best_epoch": 0, "epochs": 0, "parameters": 0}
        values, known = dict(self.hp.values), {**empty, "seconds": 0.0, **result}
        return TrialRecord(self.trial_id, self.number, status, values, **known)


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of a running trial.

    Attributes:
        epoch: Epochs done, those of finished folds and executions included.
        epochs: Epochs in total.
        value: Objective after this epoch, or of a training (fold or execution) that has ended.
        step: Index at which pruners compare trials: of the epoch, or with several trainings of the
            training that has ended. None if no pruner is applied.
        seconds: Wall-clock of the epoch, evaluation included; 0 for a training.
        asked: The hyperparameters, if the hypermodel's `fit` has asked for further ones since the
            last report, which another process does not know; None if not.
    """

    epoch: int
    epochs: int
    value: float
    step: int | None
    seconds: float = 0.0
    asked: keras_tuner.HyperParameters | None = None


class Decision(enum.Enum):
    """The answer to the progress of a trial."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """The trial continues when it is run again."""
    STOP = "stop"
    """The trial is pruned."""


Report = Callable[[Progress], Decision]
"""Receives the progress of a trial."""


class TrialFailedError(Exception):
    """The trial cannot succeed, however often it is repeated."""


class InfeasibleError(Exception):
    """The configuration is over a limit: samplers should learn to avoid it."""


def describe_failure(error: Exception, directory: Path) -> tuple[str, str]:
    """Return the status and the message of a trial that raised an error.

    Args:
        error: The error.
        directory: Directory of the trial.

    Raises:
        KtTuningError: the error itself, if it is one: the cause is in the arguments or data.
        keras_tuner.errors.FatalError: the error itself: the hypermodel says that nothing can work.
        StorageError: if the directory has been removed.
    """
    if isinstance(error, keras_tuner.errors.FatalError):
        raise error
    if not directory.is_dir():
        raise StorageError(
            f"{directory} has been removed while its trial was running. Leave the run directory "
            "there during a search; the same search can be started again."
        ) from error
    if isinstance(error, KtTuningError):
        raise error
    name = type(error).__name__
    text = error_text(error)
    if isinstance(error, (InfeasibleError, keras_tuner.errors.FailedTrialError)):
        return INFEASIBLE, text
    if isinstance(error, TrialFailedError):
        return FAILED, text
    # TensorFlow's error by name, as TensorFlow need not be installed.
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        return INFEASIBLE, f"{OUT_OF_MEMORY}: {text.splitlines()[0] if text else name}"
    return FAILED, f"{name}: {text}" if text else name


@dataclasses.dataclass(frozen=True)
class _Crashes(Record):
    """The content of `deaths.json`; see `CrashLog`."""

    count: int = 0
    epochs: int = 0
    running: bool = False


class CrashLog:
    """The crashes of the processes that run one trial, counted in its folder.

    A trial that runs in the process of the search leaves a file while it runs, which a process that
    crashes cannot remove. The crash of a worker is counted by the process that started it.

    Args:
        folder: Folder of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DEATHS
        self._known = _Crashes()
        with contextlib.suppress(StorageError):  # there is no file, or a damaged one
            self._known = _Crashes.load(self._path)

    @property
    def count(self) -> int:
        """Crashes since the last one before which a further epoch was finished."""
        return self._known.count

    def begin(self, epochs: int) -> int:
        """Record that this process runs the trial, of which `epochs` are finished.

        Returns:
            Crashes if the process that ran the trial before crashed, else 0.
        """
        crashed = self._known.running
        if crashed:
            self.add(epochs)
        if self.count < MAX_CRASHES or not crashed:
            self._note(running=True, epochs=epochs)
        return self.count if crashed else 0

    def add(self, epochs: int) -> int:
        """Record a crash with `epochs` finished; return the number of crashes."""
        count = 1 if epochs > self._known.epochs else self.count + 1
        self._note(count=count, epochs=epochs, running=False)
        return count

    def end(self) -> None:
        """Record that this process does not run the trial any more."""
        if self.count:
            self._note(running=False)
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the file: the trial has succeeded."""
        self._path.unlink(missing_ok=True)

    def _note(self, **changes: Any) -> None:
        self._known = dataclasses.replace(self._known, **changes)
        self._known.save(self._path, durable=False)


def weights_file(directory: Path, fold: int | None) -> Path:
    """Return the file of a trial's weights at the best epoch, or of those of one fold."""
    return directory / (WEIGHTS if fold is None else f"fold_{fold}.weights.h5")
