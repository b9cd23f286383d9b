"""A learning rate for larger batches, approached step by step (Goyal et al. 2017, 2.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hypermodels.compiling.fit_schedule import inner_optimizers
from kt_tuning.devices import rate_factor


def scale_rates(model: keras.Model, ratio: float, warm_up: int) -> list[keras.callbacks.Callback]:
    """Multiply the learning rates of a model's optimizer by what larger batches ask for.

    Whatever the schedule is, it is multiplied by a number that rises linearly from 1 during the
    warm-up. A lower rate, for smaller batches, applies at once.

    Args:
        model: Compiled, not traced yet.
        ratio: Images a step over those that the rate was found with.
        warm_up: Steps.

    Returns:
        Callbacks that the training needs.
    """
    if ratio == 1:
        return []
    constant: list[Factor | None] = []
    for part in inner_optimizers(model.optimizer):
        factor = Factor(rate_factor(type(part).__name__, ratio), max(1, warm_up))
        # `learning_rate` would be its value now.
        rate = part._learning_rate
        scheduled = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        if scheduled:
            part.learning_rate = ScaledSchedule(rate, factor)
        constant.append(None if scheduled else factor)
    return [ScaleConstantRates(constant)] if any(constant) else []


@dataclasses.dataclass(frozen=True)
class Factor:
    """What a learning rate is multiplied by.

    Attributes:
        final: After the warm-up.
        steps: Of the warm-up.
    """

    final: float
    steps: int

    def at(self, done: Any) -> Any:
        """The factor when so much of the warm-up is done, in [0, 1]: a number or a tensor."""
        first = min(1.0, self.final)
        return first + (self.final - first) * done


class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, multiplied.

    Args:
        schedule: The other one; what changes in it during the training counts here.
        factor: What its rates are multiplied by.
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: Factor
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._factor = factor

    def __call__(self, step: Any) -> Any:
        """The rate at a step, from 0."""
        step = ops.cast(step, "float32")
        return self._schedule(step) * self._factor.at(ops.minimum(step / self._factor.steps, 1.0))


class ScaleConstantRates(keras.callbacks.Callback):
    """Multiplies rates that are no schedules, whoever else changes them meanwhile.

    Args:
        factors: One for each optimizer of the model; None for those that have a schedule.
    """

    reads_batch_logs = False

    def __init__(self, factors: Sequence[Factor | None]) -> None:
        super().__init__()
        self._factors = factors
        self._applied: dict[int, float] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Apply the first factor, unless the training continues: a checkpoint has it already."""
        parts = inner_optimizers(self.model.optimizer)
        self._applied = {
            index: _factor(parts[index], factor) if number(parts[index].iterations) else 1.0
            for index, factor in enumerate(self._factors)
            if factor is not None
        }
        self._apply()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Go on to the next step's factor."""
        self._apply()

    def _apply(self) -> None:
        for index, before in self._applied.items():
            factor = self._factors[index]
            # After the warm-up nobody waits for the device to tell how many steps it has done.
            if factor is not None and before != factor.final:
                part = inner_optimizers(self.model.optimizer)[index]
                self._applied[index] = _factor(part, factor)
                part.learning_rate = number(part.learning_rate) * self._applied[index] / before


def _factor(part: keras.optimizers.Optimizer, factor: Factor) -> float:
    done = min(number(part.iterations) / factor.steps, 1.0)
    return factor.final if done == 1 else float(factor.at(done))


def number(value: Any) -> float:
    """A scalar of the backend's, which may be a variable that all devices have."""
    return float(ops.convert_to_numpy(value))
