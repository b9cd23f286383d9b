"""A learning rate for larger batches, approached step by step (Goyal et al. 2017, 2.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hypermodels.compiling.fit_schedule import inner_optimizers
from kt_tuning.devices import rate_factor
from kt_tuning.trials.metrics import scalar


def scale_rates(model: keras.Model, ratio: float, warm_up: int) -> list[keras.callbacks.Callback]:
    """Multiply the learning rates of a model's optimizer by the factor for larger batches.

    The rate, or its schedule, is multiplied by a number that rises linearly from 1 during the
    warm-up. A lower rate, for smaller batches, applies at once.

    Args:
        model: Compiled, not traced yet.
        ratio: Images a step over those that the rate was found with.
        warm_up: Steps of the warm-up.

    Returns:
        Callbacks that the training needs.
    """
    if ratio == 1:
        return []
    constant: list[Factor | None] = []
    for part in inner_optimizers(model.optimizer):
        factor = Factor(rate_factor(type(part).__name__, ratio), max(1, warm_up))
        # `learning_rate` would be its present value.
        rate = part._learning_rate
        scheduled = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        if scheduled:
            part.learning_rate = ScaledSchedule(rate, factor)
        constant.append(None if scheduled else factor)
    return [ScaleConstantRates(constant)] if any(constant) else []


@dataclasses.dataclass(frozen=True)
class Factor:
    """The factor of a learning rate."""

    final: float
    steps: int

    def at(self, done: Any) -> Any:
        """Return the factor after a share of the warm-up in [0, 1], a number or a tensor."""
        first = min(1.0, self.final)
        return first + (self.final - first) * done

    def of(self, optimizer: keras.optimizers.Optimizer) -> float:
        """Return the factor after the steps that an optimizer has done."""
        done = min(scalar(optimizer.iterations) / self.steps, 1.0)
        return self.final if done == 1 else float(self.at(done))


class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule multiplied by a factor; later changes of the schedule apply."""

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: Factor
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._factor = factor

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step, from 0."""
        step = ops.cast(step, "float32")
        return self._schedule(step) * self._factor.at(ops.minimum(step / self._factor.steps, 1.0))


class ScaleConstantRates(keras.callbacks.Callback):
    """Multiplies rates that are no schedules; other callbacks may change them meanwhile."""

    reads_batch_logs = False

    def __init__(self, factors: Sequence[Factor | None]) -> None:
        super().__init__()
        self._factors = factors
        self._applied: dict[int, float] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Apply the first factor, unless the training continues: a checkpoint has it already."""
        parts = inner_optimizers(self.model.optimizer)
        self._applied = {
            index: factor.of(parts[index]) if scalar(parts[index].iterations) else 1.0
            for index, factor in enumerate(self._factors)
            if factor is not None
        }
        self._apply()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Apply the factor of the next step."""
        self._apply()

    def _apply(self) -> None:
        for index, before in self._applied.items():
            factor = self._factors[index]
            # After the warm-up nothing waits for the device to tell its number of steps.
            if factor is not None and before != factor.final:
                part = inner_optimizers(self.model.optimizer)[index]
                self._applied[index] = factor.of(part)
                part.learning_rate = scalar(part.learning_rate) * self._applied[index] / before
