"""The callbacks that fit a learning rate to the training, and their choice."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hypermodels.compiling.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    StepSchedule,
    StretchedSchedule,
)
from hypermodels.space import Space

SCHEDULES = ("constant", "exponential", "cosine")
RARE_SCHEDULES = ("step", "one_cycle", "plateau")


class FitSchedule(keras.callbacks.Callback):
    """Stretches a learning-rate schedule over the training that is about to start.

    A hypermodel is built before anybody knows how many steps it will be trained for; Keras tells
    its callbacks, and the training step, which reads the schedule's attributes, is traced later.

    Args:
        schedule: The schedule of the model's optimizer, or a constant rate.

    Attributes:
        schedule: See there.
        full_steps: Steps from which a training has the rates of the schedule. Those of a shorter
            one are lower in proportion: the first steps of adaptive optimizers, which have seen few
            gradients, change all weights by about the rate, whatever the gradients are. 0: never.
    """

    def __init__(self, schedule: StretchedSchedule | float) -> None:
        super().__init__()
        self.schedule = schedule
        self.full_steps = 0
        self._peak = schedule.peak if isinstance(schedule, StretchedSchedule) else schedule

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Set the schedule's length from the steps and epochs of this `fit`."""
        steps, epochs = self.params["steps"], self.params["epochs"]
        if self.full_steps and steps is not None:
            self._reduce(min(1.0, steps * epochs / self.full_steps))
        self.stretch(steps, epochs)

    def _reduce(self, share: float) -> None:
        """Multiply the rates that the schedule was given by a share."""
        if isinstance(self.schedule, StretchedSchedule):
            if self.schedule.peak != self._peak * share:
                self.schedule.peak = self._peak * share
                self.model.make_train_function(force=True)
        elif all(int(part._iterations) == 0 for part in inner_optimizers(self.model.optimizer)):
            self.model.optimizer.learning_rate = self._peak * share

    def stretch(self, steps_per_epoch: int | None, epochs: int) -> None:
        """Set the schedule's length.

        Args:
            steps_per_epoch: Optimizer steps in an epoch.
            epochs: Epochs in all, those already trained included.

        Raises:
            ValueError: if the schedule needs `steps_per_epoch` and it is None.
        """
        if not isinstance(self.schedule, StretchedSchedule):
            return
        if steps_per_epoch is None:
            raise ValueError(
                "This schedule needs to know how many steps an epoch has. Pass `steps_per_epoch`, "
                "a data set of known length, or fix schedule='constant'."
            )
        if self.schedule.stretch(steps_per_epoch, epochs) and self.model is not None:
            # A training step that has been traced holds the old length.
            self.model.make_train_function(force=True)

    def change_steps(self, steps_per_epoch: int) -> None:
        """Go on from the end of an epoch with more or fewer steps in each: batches have grown.

        The rate goes on as a function of the epoch. So the steps that the optimizer has counted
        become those of as many epochs of the new length.

        Args:
            steps_per_epoch: Optimizer steps in an epoch from now on.
        """
        if not isinstance(self.schedule, StretchedSchedule):
            return
        ratio = steps_per_epoch / self.schedule.steps_per_epoch
        for part in inner_optimizers(self.model.optimizer):
            # Batches, where a step is made from several: their count within the step stays.
            before, batches = int(part._iterations), part.gradient_accumulation_steps or 1
            now = round(before * ratio)
            part._iterations.assign(now + (before - now) % batches)
        self.stretch(steps_per_epoch, self.schedule.epochs)


class PlateauSchedule(FitSchedule):
    """Lowers the learning rate where the loss stops falling.

    It watches `val_loss` where `fit` measures that before its callbacks, else the training loss.
    The rate is a variable of the optimizer, so that it is saved and restored with it; a training
    that goes on from a checkpoint starts to wait anew.

    Args:
        rate: The learning rate at the beginning.
        factor: What it is multiplied by, in (0, 1).
        patience: Epochs without a lower loss after which that is done.
    """

    def __init__(self, rate: float, factor: float, patience: int) -> None:
        super().__init__(rate)
        self.factor = factor
        self.patience = patience

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier training's losses."""
        super().on_train_begin(logs)
        self._lowest, self._waited = math.inf, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Lower the rate if the loss has not fallen for `patience` epochs."""
        logs = logs or {}
        loss = logs.get("val_loss", logs.get("loss", math.nan))
        if loss < self._lowest:
            self._lowest, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            optimizer = self.model.optimizer
            # Where several devices share the training, each has the variable.
            rate = float(ops.convert_to_numpy(optimizer.learning_rate))
            optimizer.learning_rate = rate * self.factor
            self._waited = 0


def choose_schedule(space: Space, peak: float) -> FitSchedule:
    """The schedule that a space asks for: `schedule`, and what that kind has.

    exponential: `decay`. cosine: `warmup`, `restarts`. step: `drops`, `drop_factor`. plateau:
    `plateau_factor`, `plateau_patience`.

    Args:
        space: Answers for the schedule.
        peak: The highest rate.
    """
    kind = space.choice("schedule", SCHEDULES, default="cosine", rare=RARE_SCHEDULES)
    with space.when("schedule", ["exponential"]):
        decay = space.number("decay", 0.8, 0.99, default=0.9)
    with space.when("schedule", ["cosine"]):
        warmup = space.choice("warmup", [0.0, 0.1, 0.2], default=0.2)
        restarts = space.choice("restarts", [0], default=0, rare=[1, 2])
    with space.when("schedule", ["step"]):
        drops = space.choice("drops", [1, 2, 3], default=2)
        drop_factor = space.choice("drop_factor", [0.1, 0.2, 0.5], default=0.1)
    with space.when("schedule", ["plateau"]):
        factor = space.choice("plateau_factor", [0.1, 0.2, 0.5], default=0.5)
        patience = space.choice("plateau_patience", [1, 2, 3, 5], default=2)
    if kind == "exponential":
        return FitSchedule(ExponentialSchedule(peak, decay))
    if kind == "cosine":
        return FitSchedule(CosineSchedule(peak, warmup, restarts))
    if kind == "step":
        return FitSchedule(StepSchedule(peak, drops, drop_factor))
    if kind == "one_cycle":
        return FitSchedule(OneCycleSchedule(peak))
    if kind == "plateau":
        return PlateauSchedule(peak, factor, patience)
    return FitSchedule(peak)


def inner_optimizers(optimizer: Any) -> list[Any]:
    """Return the optimizers with weights and step counts inside an optimizer, or the optimizer.

    Loss scaling wraps one, and a model may use several for different weights.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))
