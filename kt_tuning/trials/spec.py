"""What a trial is told, and what it tells."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import keras_tuner

from kt_tuning.run.layout import WEIGHTS


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """What a trial is told.

    Attributes:
        trial_id: KerasTuner's id.
        number: Order of start, from 0.
        hp: Hyperparameters with their values.
        epochs: Epochs of each training.
        initial_epoch: Epochs already trained by the trial in `origin`.
        origin: Directory of the trial whose weights are the first ones, or None.
        seed: Seed of initial weights, order and augmentation.
        directory: Where the trial writes.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        least_epochs: The trial is given up at once if so many epochs cannot end by the deadline,
        longest: or would take more seconds than these; infinity for no such limit.
        executions: Trainings on each fold, with different seeds; their scores are averaged, and
            the weights of the first one are kept.
        limits: What a model may cost, at most, by name in `COSTS`.
    """

    trial_id: str
    number: int
    hp: keras_tuner.HyperParameters
    epochs: int
    initial_epoch: int
    origin: Path | None
    seed: int
    directory: Path
    deadline: float | None
    least_epochs: int
    longest: float = math.inf
    executions: int = 1
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a trial tells while it runs.

    Attributes:
        epoch: Epochs done, those of finished folds and executions included.
        epochs: Epochs in all.
        value: Of the objective, after this epoch; or of a fold or execution that has ended.
        step: What pruners compare trials at: the index of the epoch, or with several folds or
            executions that of the one which has ended. None: no pruner is asked.
        seconds: Wall-clock of the epoch, measuring included; 0 for a fold or execution.
    """

    epoch: int
    epochs: int
    value: float
    step: int | None
    seconds: float = 0.0


class Advice(enum.Enum):
    """What a trial is told when it has told how far it is."""

    GO_ON = "go on"
    PAUSE = "pause"
    """It goes on when it is run again."""
    STOP = "stop"
    """It is pruned."""


Report = Callable[[Progress], Advice]
"""Hears of progress."""


class TrialFailedError(Exception):
    """The trial cannot succeed, however often it is tried."""


class InfeasibleError(Exception):
    """The configuration is over a limit: samplers should learn to avoid it."""


def weights_file(directory: Path, fold: int | None) -> Path:
    """Where a trial keeps its weights at the best epoch; with folds, those of each."""
    return directory / (WEIGHTS if fold is None else f"fold_{fold}.weights.h5")
