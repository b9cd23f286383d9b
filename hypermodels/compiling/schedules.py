"""Learning rates over a training whose length is set when it starts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules


class StretchedSchedule(schedules.LearningRateSchedule):
    """A learning rate over a training of some number of steps and epochs.

    Both are Python numbers, which a traced training step holds as constants.

    Args:
        peak: η, the highest rate.
        steps_per_epoch: Optimizer steps in an epoch.
        epochs: Epochs of the training.
    """

    def __init__(self, peak: float, steps_per_epoch: int = 1, epochs: int = 1) -> None:
        super().__init__()
        self.peak = peak
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs

    @property
    def steps(self) -> int:
        """T, the steps of the training."""
        return self.steps_per_epoch * self.epochs

    def stretch(self, steps_per_epoch: int, epochs: int) -> bool:
        """Set the length of the training.

        Returns:
            Whether that changes the rate at any step.
        """
        before = self.get_config()
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs
        return self.get_config() != before

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {"peak": self.peak, "steps_per_epoch": self.steps_per_epoch, "epochs": self.epochs}


@keras.saving.register_keras_serializable(package="hypermodels")
class ExponentialSchedule(StretchedSchedule):
    """η·γ^t, t in epochs.

    Args:
        peak: η.
        decay: γ, the factor of an epoch, in (0, 1).
        steps_per_epoch: Optimizer steps in an epoch.
    """

    def __init__(self, peak: float, decay: float, steps_per_epoch: int = 1) -> None:
        super().__init__(peak, steps_per_epoch)
        self.decay = decay

    def __call__(self, step: Any) -> Any:
        """The rate at a step, from 0."""
        return self.peak * ops.power(self.decay, ops.cast(step, "float32") / self.steps_per_epoch)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving; the number of epochs plays no part."""
        return {"peak": self.peak, "decay": self.decay, "steps_per_epoch": self.steps_per_epoch}


@keras.saving.register_keras_serializable(package="hypermodels")
class StepSchedule(StretchedSchedule):
    """η·γ^k after the k-th of several drops, evenly spaced over the training.

    Args:
        peak: η.
        drops: Number of drops, D; the k-th is at step k·T / (D + 1), rounded.
        drop_factor: γ, in (0, 1).
        steps_per_epoch: Optimizer steps in an epoch.
        epochs: Epochs of the training.
    """

    def __init__(
        self,
        peak: float,
        drops: int,
        drop_factor: float,
        steps_per_epoch: int = 1,
        epochs: int = 1,
    ) -> None:
        super().__init__(peak, steps_per_epoch, epochs)
        self.drops = drops
        self.drop_factor = drop_factor

    def __call__(self, step: Any) -> Any:
        """The rate at a step, from 0."""
        step, rate = ops.cast(step, "float32"), self.peak
        for k in range(1, self.drops + 1):
            drop = round(k * self.steps / (self.drops + 1))
            rate = rate * ops.where(step >= drop, self.drop_factor, 1.0)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "drops": self.drops, "drop_factor": self.drop_factor}


@keras.saving.register_keras_serializable(package="hypermodels")
class CosineSchedule(StretchedSchedule):
    """A linear rise from 0, then half a cosine down to 0, started anew at each restart.

    Loshchilov and Hutter 2017, equation 5 with η_min = 0; each cycle is twice as long as the one
    before it, T_mult = 2.

    Args:
        peak: η.
        warmup: Share of all steps during which the rate rises, in [0, 1).
        restarts: Restarts after the rise.
        steps_per_epoch: Optimizer steps in an epoch.
        epochs: Epochs of the training.
    """

    def __init__(
        self,
        peak: float,
        warmup: float = 0.0,
        restarts: int = 0,
        steps_per_epoch: int = 1,
        epochs: int = 1,
    ) -> None:
        super().__init__(peak, steps_per_epoch, epochs)
        self.warmup = warmup
        self.restarts = restarts

    def cycles(self) -> list[tuple[int, int]]:
        """First step of each cycle, and the first step after it."""
        rise = round(self.steps * self.warmup)
        parts = 2 ** (self.restarts + 1) - 1
        bounds = [
            rise + round((self.steps - rise) * (2**cycle - 1) / parts)
            for cycle in range(self.restarts + 2)
        ]
        return list(itertools.pairwise(bounds))

    def __call__(self, step: Any) -> Any:
        """The rate at a step, from 0."""
        step = ops.cast(step, "float32")
        cycles = self.cycles()
        rate = self.peak * step / max(1, cycles[0][0])
        for start, end in cycles:
            done = ops.clip((step - start) / max(1, end - start), 0.0, 1.0)
            falling = self.peak * (1.0 + ops.cos(math.pi * done)) / 2.0
            rate = ops.where(step >= start, falling, rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "warmup": self.warmup, "restarts": self.restarts}


@keras.saving.register_keras_serializable(package="hypermodels")
class OneCycleSchedule(StretchedSchedule):
    """Linearly up from η/10 to η, back down, then towards nothing (Smith 2018, section 5).

    Each of the two ways takes 45% of the training; the last 10% end at η/1000. The momentum stays
    as it is.
    """

    ways = 0.45
    """Share of the steps of the way up, and of the way down."""
    low = 0.1
    """Where both ways begin and end, as a share of the peak."""
    last = 0.001
    """Where the training ends, as a share of the peak."""

    def __call__(self, step: Any) -> Any:
        """The rate at a step, from 0."""
        step = ops.cast(step, "float32")
        way = round(self.steps * self.ways)
        up = self._share(step, 0, way)
        down = self._share(step, way, 2 * way)
        end = self._share(step, 2 * way, self.steps)
        climb, fall = 1.0 - self.low, self.low - self.last
        return self.peak * (self.low + climb * (up - down) - fall * end)

    @staticmethod
    def _share(step: Any, start: int, end: int) -> Any:
        """How much of the steps from `start` to `end` is done."""
        return ops.clip((step - start) / max(1, end - start), 0.0, 1.0)
