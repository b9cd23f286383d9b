"""One training of a refit: a trial without validation images, on all devices.

Learning rates are scaled for larger batches step by step (Goyal et al. 2017, 2.2).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras import ops

from hypermodels.compiling.fit_schedule import inner_optimizers
from kt_tuning.core.atomic import make_folder
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.progress import Task
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batch
from kt_tuning.devices import Devices, rate_factor, scope, steps_per_execution, warm_up_steps
from kt_tuning.finalize.refit_plan import MemberPlan
from kt_tuning.recipe import Recipe
from kt_tuning.run.layout import RESULT
from kt_tuning.search import Tuner
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import Decision, ImageTask, Progress, TrialSpec, run_trial
from kt_tuning.trials.metrics import scalar


def train_member(
    tuner: Tuner, plan: MemberPlan, data: ImageData, devices: Devices, folder: Path, bar: Task
) -> TrialRecord:
    """Train a configuration, or continue after its last finished epoch."""
    make_folder(folder)
    if (folder / RESULT).exists():
        return TrialRecord.load(folder / RESULT)
    spec = TrialSpec(
        trial_id=plan.trial.trial_id,
        number=plan.trial.number,
        hp=plan.hp,
        epochs=plan.epochs,
        seed=plan.seed,
        directory=folder,
    )

    def report(progress: Progress) -> Decision:
        bar.update(progress.epoch, f"loss {progress.value:.4f}")
        return Decision.CONTINUE

    with contextlib.ExitStack() as stack:
        hypermodel = tuner.hypermodel
        if not devices.alone:
            # When Keras has cleared its session, which ends the scope on JAX.
            enter = functools.partial(stack.enter_context, scope(devices))
            hypermodel = WholeBatchesHyperModel(hypermodel, plan.recipe, enter)
        task = RefitTask(hypermodel, data, plan, devices, tuner.objectives[0].name)
        record = run_trial(spec, report, tasks=[task], objectives=[LastEpoch()])
    if not record.usable:
        (folder / RESULT).unlink()
        raise SearchError(
            f"The refit of trial {spec.trial_id} failed: {record.message}. If its loss is not "
            "finite, smaller batches, which go with a lower learning rate, may help: pass "
            "`batch_size`."
        )
    record = dataclasses.replace(
        record,
        values=plan.trial.values,
        message="trained again on the training and the validation images",
        backbone=plan.trial.backbone,
    )
    record.save(folder / RESULT)
    return record


def check_shareable(model: keras.Model, devices: Devices) -> None:
    """Refuse gradient accumulation on several TensorFlow devices: Keras 3.15 cannot trace it."""
    accumulated = [part.gradient_accumulation_steps for part in inner_optimizers(model.optimizer)]
    if devices.count > 1 and keras.backend.backend() == "tensorflow" and any(accumulated):
        raise OptionError(
            "Several devices of TensorFlow cannot share a step that is made from several batches. "
            f"Received: gradient_accumulation_steps={max(filter(None, accumulated))}. Refit on one "
            "device: devices=1."
        )


class LastEpoch(keras_tuner.Objective):
    """An objective by which the last epoch is the best: there are no images to validate on."""

    def __init__(self) -> None:
        super().__init__("loss", "min")

    def better_than(self, a: float, b: float) -> bool:
        """Return True: `a` is of a later epoch than `b`."""
        return True


class RefitTask(ImageTask):
    """Trains on images without a validation split, on all devices."""

    measures_itself = False

    def __init__(
        self,
        hypermodel: keras_tuner.HyperModel,
        data: ImageData,
        plan: MemberPlan,
        devices: Devices,
        objective: str,
    ) -> None:
        super().__init__(hypermodel, data, plan.recipe, objectives=[objective])
        self._plan = plan
        self._devices = devices
        self._steps = math.ceil(len(data.train) / plan.batch_size)
        self._rates: list[keras.callbacks.Callback] = []

    def check(self, model: keras.Model) -> None:
        """Accept the model: the trial has shown that it fits the data."""

    def prepare(self, model: keras.Model) -> None:
        """Scale the learning rates to the batches, and have the training step traced once."""
        check_shareable(model, self._devices)
        warm_up = warm_up_steps(self._steps, self._plan.epochs)
        self._rates = scale_rates(model, self._plan.ratio, warm_up)
        model.steps_per_execution = steps_per_execution(self._devices.kind, self._steps)
        super().prepare(model)

    def fit(self, *args: Any, callbacks: Sequence[keras.callbacks.Callback], **options: Any) -> Any:
        """Train as a trial does, with the scaled learning rates."""
        return super().fit(*args, callbacks=[*self._rates, *callbacks], **options)

    def patience(self, values: Mapping[str, Any]) -> None:
        """Return None: nothing measures an improvement."""

    def predict(self, model: keras.Model) -> None:  # type: ignore[override]
        """Return None: there are no validation images."""


class WholeBatches(keras.utils.PyDataset):
    """The batches of a loader; the last one of an epoch is filled up with images of the first one.

    Its images would otherwise count more where devices share it, JAX could not divide it among
    them, and a TPU would compile it a second time.

    Args:
        loader: The loader.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__(workers=1)
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch of the epoch."""
        batch = self._loader[index]
        missing = self._loader.batch_size - len(batch[0])
        if not missing:
            return batch
        filler = self._loader[0] if index else batch
        rows = np.arange(missing) % len(filler[0])
        return tuple(
            np.concatenate([part, more[rows]]) for part, more in zip(batch, filler, strict=True)
        )


class WholeBatchesHyperModel(RecipeHyperModel):
    """A hypermodel that is fitted on whole batches; before the first build it calls a function."""

    def __init__(self, hypermodel: Any, recipe: Recipe, before_build: Callable[[], object]) -> None:
        super().__init__(hypermodel, recipe)
        self._before_build: Callable[[], object] | None = before_build

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the wrapped hypermodel's model."""
        if self._before_build is not None:
            self._before_build()
            self._before_build = None
        return super().build(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, data: Any, **kwargs: Any
    ) -> Any:
        """Train as the wrapped hypermodel does."""
        data = whole_batches(data) if isinstance(data, Loader) else data
        return super().fit(hp, model, data, **kwargs)


def whole_batches(loader: Loader) -> Any:
    """Return whole batches in the form that the Keras backend divides among devices best.

    On TensorFlow a `tf.data.Dataset` of static shapes, since Keras would leave the number of images
    open; elsewhere a `keras.utils.PyDataset`.
    """
    batches = WholeBatches(loader)
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    shapes = tuple(tf.TensorSpec(part.shape, part.dtype) for part in batches[0])
    dataset = tf.data.Dataset.from_generator(
        # By index: Keras may start to read an epoch that it then gives up.
        lambda: (batches[index] for index in range(len(batches))),
        output_signature=shapes,
    )
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(tf.data.AUTOTUNE)


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
