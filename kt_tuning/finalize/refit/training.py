"""One training of a refit: on all devices, with a checkpoint after every epoch."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import keras

from hypermodels.compiling.fit_schedule import inner_optimizers
from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import COMPLETED, TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.data.batch_loader import DATA_WAIT
from kt_tuning.devices import Devices, scope, steps_per_execution, warm_up_steps
from kt_tuning.finalize.refit.plan import MemberPlan
from kt_tuning.finalize.refit.scaled_rates import number, scale_rates
from kt_tuning.finalize.refit.whole_batches import WholeBatchesHyperModel
from kt_tuning.run.layout import CHECKPOINT, HISTORY, RESULT, WEIGHTS
from kt_tuning.search import Tuner
from kt_tuning.trials import ImageTask, fuse_batch_normalization, new_model
from kt_tuning.trials.checkpoint import Checkpoint, RunState
from kt_tuning.trials.keras_fast import forget_gradients
from kt_tuning.trials.trial_files import Curve
from kt_tuning.trials.weights import save_weights

Tell = Callable[[int, float], None]
"""(epochs done, loss) -> None."""


def train_member(
    tuner: Tuner, plan: MemberPlan, data: ImageData, devices: Devices, folder: Path, tell: Tell
) -> TrialRecord:
    """Train a configuration, or go on with it after its last finished epoch.

    Args:
        tuner: Has the hypermodel.
        plan: What to train, and how.
        data: The images.
        devices: On what.
        folder: Where it is kept; made if missing.
        tell: Hears of every epoch.

    Returns:
        The record, also written as `result.json` when the weights are there.

    Raises:
        OptionError: if the devices cannot share the training.
        SearchError: if the loss is no number any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / RESULT).exists():
        return TrialRecord.load(folder / RESULT)
    # On JAX that would also end the scope, which therefore comes after it.
    keras.backend.clear_session()
    hypermodel = tuner.hypermodel if devices.alone else WholeBatchesHyperModel(tuner.hypermodel)
    task = ImageTask(hypermodel, data, plan.recipe, objectives=[tuner.objectives[0].name])
    checkpoint = Checkpoint(folder / CHECKPOINT)
    steps = math.ceil(len(data.train) / plan.batch_size)
    with forget_gradients(), scope(devices):
        keras.utils.set_random_seed(plan.seed)
        model = new_model(hypermodel, plan.hp, task.precision(plan.hp.values))
        rates = scale_rates(model, plan.ratio, warm_up_steps(steps, plan.epochs))
        model.steps_per_execution = steps_per_execution(devices.kind, steps)
        check_shareable(model, devices)
        fuse_batch_normalization(model)
        task.prepare(model)
        state = checkpoint.restore(model, 0) or RunState(0, plan.epochs, 0)
        diary = _Diary(folder, checkpoint, state, tell)
        if state.done < plan.epochs:
            task.fit(
                plan.hp,
                model,
                epochs=plan.epochs,
                initial_epoch=state.done,
                seed=plan.seed,
                memory=state.memory,
                callbacks=[*rates, diary],
            )
        with atomic_write(folder / WEIGHTS, durable=True) as temporary:
            save_weights(model, temporary)
        parameters = int(model.count_params())
    record = TrialRecord(
        trial_id=plan.trial.trial_id,
        number=plan.trial.number,
        status=COMPLETED,
        values=plan.trial.values,
        metrics=diary.metrics,
        best_epoch=state.done - 1,
        epochs=state.done,
        seconds=round(state.seconds, 3),
        parameters=parameters,
        message="trained again on the training and the validation images",
        began=time.time() - state.seconds,
        backbone=plan.trial.backbone,
    )
    record.save(folder / RESULT)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return record


def check_shareable(model: keras.Model, devices: Devices) -> None:
    """Refuse what Keras 3.15 cannot trace for several devices of TensorFlow.

    Raises:
        OptionError: if a step of the model's optimizer is made from several batches.
    """
    accumulated = [part.gradient_accumulation_steps for part in inner_optimizers(model.optimizer)]
    if devices.count > 1 and keras.backend.backend() == "tensorflow" and any(accumulated):
        raise OptionError(
            "Several devices of TensorFlow cannot share a step that is made from several batches. "
            f"Received: gradient_accumulation_steps={max(filter(None, accumulated))}. Refit on one "
            "device: devices=1."
        )


class _Diary(keras.callbacks.Callback):
    """Writes the curve and the checkpoint after every epoch.

    Attributes:
        metrics: What training measured in the last epoch.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint, state: RunState, tell: Tell) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._state = state
        self._tell = tell
        self._curve = Curve(folder / HISTORY, several=False)
        self._curve.rewind(0, state.done)
        self._started = time.monotonic() - state.seconds
        self.metrics: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write where the training is."""
        numbers = {name: float(number) for name, number in (logs or {}).items()}
        wait = numbers.pop(DATA_WAIT, None)
        if not math.isfinite(numbers.get("loss", 0.0)):
            raise SearchError(
                f"The loss became {numbers['loss']} in epoch {epoch + 1} of the refit. Smaller "
                "batches, which go with a lower learning rate, may help: say which `batch_size`."
            )
        numbers["learning_rate"] = number(self.model.optimizer.learning_rate)
        now = time.monotonic()
        self._curve.add(0, epoch, now - self._began, numbers, data_wait=wait)
        state = self._state
        state.done, state.seconds = epoch + 1, now - self._started
        state.trained += 1
        self.metrics = numbers
        self._checkpoint.save(self.model, state)
        self._tell(state.done, numbers.get("loss", math.nan))
