"""Callbacks of a training: copies of the user's, the deadline, and batches that grow."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.src.engine.tuner_utils import convert_hyperparams_to_hparams

from kt_tuning.core.errors import OptionError
from kt_tuning.core.units import clock, count
from kt_tuning.data.batch_loader import Loader
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.spec import InfeasibleError, TrialSpec

PROBE = 8
"""Steps after the first from which the time of an epoch is estimated."""
MEASURING = 0.2
"""Assumed evaluation time as a share of an epoch before it was measured: a third of the images at a
third of the time each, twice for models that train in 16 bits."""
SLACK = 1.1
"""A training is shortened if it would exceed the remaining time by more than a tenth."""
PATIENCE = 2
"""Epochs without a notably lower training loss after which batches are doubled."""
NOTABLE = 0.01
"""Relative decrease of the lowest training loss that counts as an improvement."""
SIZE, LOWEST, WAITED = "batch_size", "lowest_loss", "epochs_waited"


class CallbackError(OptionError, keras_tuner.errors.FatalValueError):
    """The callbacks should be such that they can be copied; a FatalValueError in KerasTuner."""


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse what is no callback, and callbacks that cannot be copied for each training.

    Args:
        callbacks: As passed to `search`.

    Raises:
        OptionError: if it is no list of callbacks.
        CallbackError: if one cannot be copied; it names that callback and the reason.
    """
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise OptionError(f"`callbacks` is a list of Keras callbacks. Received: {callbacks!r}")
    for callback in callbacks:
        try:
            copy.deepcopy(callback)
        except Exception as error:
            raise CallbackError(
                "All callbacks used during a search should be deep-copyable, as each training gets "
                f"a copy. Received a {type(callback).__name__} that cannot be copied: "
                f"{type(error).__name__}: {error}. Create locks, files and connections in its "
                "`on_train_begin`, or define its `__deepcopy__`."
            ) from error
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            raise OptionError(f"`callbacks` is a list of Keras callbacks. In it is: {callback!r}")


def copy_callbacks(
    callbacks: Sequence[keras.callbacks.Callback],
    hp: keras_tuner.HyperParameters,
    folder: str,
) -> list[keras.callbacks.Callback]:
    """Copy callbacks for one training.

    A `TensorBoard` writes to `<log_dir>/<folder>`, and the trial's hyperparameters are logged
    beside its curves, as in KerasTuner.

    Args:
        callbacks: Checked by `check_callbacks`.
        hp: Hyperparameters of the trial.
        folder: Of this training, "<trial id>/execution<number>".
    """
    copies = copy.deepcopy(list(callbacks))
    for callback in list(copies):
        if type(callback).__name__ == "TensorBoard" and keras.backend.backend() == "tensorflow":
            # Imported on use: TensorBoard is only needed by those who pass its callback.
            from tensorboard.plugins.hparams import api

            callback.log_dir = str(Path(callback.log_dir) / folder)
            copies.append(
                api.KerasCallback(
                    writer=callback.log_dir,
                    hparams=convert_hyperparams_to_hparams(hp, api),
                    trial_id=folder.partition("/")[0],
                )
            )
    return copies


class SharedCallback(keras.callbacks.Callback):
    """A callback that all trainings share: copying it returns the callback itself."""

    def __deepcopy__(self, memo: object) -> SharedCallback:
        return self


class Deadline(keras.callbacks.Callback):
    """Ends a training by a deadline.

    A training that would not end in time is shortened after its first epoch: the learning-rate
    schedule is rescaled to the epochs that fit. If not even one epoch fits, training stops within
    it, early enough for the evaluation. If it is too late for that and there is another model, the
    trial is infeasible.

    Args:
        state: State of the training, whose `epochs` and `message` are changed.
        spec: The trial. It is infeasible if `least_epochs` would take more seconds than `longest`;
            with 0 it is always kept, as there is no other model.
        at: Deadline as a value of `time.monotonic()`.

    Attributes:
        at: As above.
        is_cut: Whether the training was stopped within an epoch.
    """

    reads_batch_logs = False

    def __init__(self, state: TrainingState, spec: TrialSpec, at: float) -> None:
        super().__init__()
        self._state, self._spec, self.at = state, spec, at
        self.is_cut = False
        self._first = True
        self._measured: float | None = None
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = self._stepped = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Measure the tracing time of the first epoch; stop when time is up."""
        now = time.monotonic()
        if self._first and batch == 0:
            self._traced = now
        self._stepped = now
        steps = self.params["steps"] or 0
        late = now + self._measuring(batch, now) - self.at
        if batch + 1 != steps and late >= 0:
            if self._spec.least_epochs and late > (SLACK - 1) * (self.at - self._started):
                raise InfeasibleError(
                    "too slow for the time that is left: not one epoch fits into "
                    f"{clock(max(0.0, self.at - self._started))}"
                )
            # The weights so far are still evaluated and kept.
            self.model.stop_training = True
            self.cut(f"after {count(self._state.done * steps + batch + 1, 'step')}")
        elif self._first and 0 < batch <= PROBE and not self._state.done:
            self._check_feasible(batch, now)

    def cut(self, where: str) -> None:
        """Record that the training was stopped within an epoch.

        Args:
            where: Position such as "after 7 steps".
        """
        self.is_cut = True
        self._state.message = f"cut short by the time limit {where}"

    def _measuring(self, batch: int, now: float) -> float:
        """Return the seconds of the evaluation after the last epoch, or an estimate."""
        if self._measured is not None:
            return self._measured
        # The first step includes an unknown time for tracing.
        step = (now - self._traced) / batch if batch else 0.0
        return MEASURING * (self.params["steps"] or 0) * step

    def _check_feasible(self, batch: int, now: float) -> None:
        """Raise if a worthwhile training would take too long."""
        steps, spec = self.params["steps"] or 0, self._spec
        needed = spec.least_epochs * steps * (now - self._traced) / batch
        # Fewer steps give a less reliable estimate.
        doubt = PROBE / batch
        if needed > spec.longest * doubt:
            raise InfeasibleError(
                f"too slow for the time limit: {count(spec.least_epochs, 'epoch')} would take "
                f"{clock(needed)}, and one training should not take more than "
                f"{clock(spec.longest)} of it"
            )

    def epoch_ended(self, seconds: float) -> None:
        """Shorten the training if it would not end in time.

        Args:
            seconds: Wall-clock of the epoch, evaluation included.
        """
        if self.is_cut:
            self._state.epochs = self._state.done
            return
        now = time.monotonic()
        self._measured = now - self._stepped
        seconds, self._first = self._steady(seconds), False
        remaining, done = self.at - now, self._state.done
        if (self._state.epochs - done) * seconds <= max(0.0, remaining) * SLACK:
            return
        affordable = done + max(0, int(remaining / max(seconds, 1e-9)))
        self._state.epochs = affordable
        self._state.message = (
            f"shortened from {self._spec.epochs} to {affordable} epochs by the time limit"
        )
        schedule = getattr(self.model, "fit_schedule", None)
        if affordable > done and schedule is not None:
            schedule.stretch(self.params["steps"], affordable)

    def _steady(self, seconds: float) -> float:
        """Return the seconds of an epoch without the tracing of the first one."""
        steps = self.params.get("steps")
        if not self._first or not steps or steps < 2:
            return seconds
        return (seconds - (self._traced - self._began)) * steps / (steps - 1)


class BatchGrowth(keras.callbacks.Callback):
    """Doubles the batch size whenever the training loss stalls, up to a maximum.

    At a given learning rate a stall is mostly gradient noise, which larger batches reduce (Smith et
    al. 2018, "Don't decay the learning rate, increase the batch size"). The validation loss is not
    used: overfitting is no noise.

    Learning-rate schedules of `hypermodels` advance by epochs, others by steps. The callback must
    come before the one that writes checkpoints, which then have the new size.

    Args:
        loader: The loader that is resized.
        most: Largest number of images per batch.
        memory: State in JSON types; that of an interrupted training is continued.
    """

    def __init__(self, loader: Loader, most: int, memory: dict[str, Any]) -> None:
        super().__init__()
        self._loader = loader
        self._most = most
        self._memory = memory

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare the loss with earlier ones, and double the batch size after a stall."""
        logs = {} if logs is None else logs
        logs[SIZE] = float(self._loader.batch_size)
        memory, loss = self._memory, float(logs["loss"])
        lowest = memory.get(LOWEST)
        if lowest is None or loss < lowest * (1 - NOTABLE):
            memory.update({LOWEST: loss, WAITED: 0})
            return
        memory[WAITED] += 1
        size = min(2 * self._loader.batch_size, self._most)
        if memory[WAITED] < PATIENCE or size == self._loader.batch_size:
            return
        memory.update({SIZE: size, WAITED: 0})
        self._loader.resize(size)
        steps = len(self._loader)
        # All callbacks share these parameters.
        self.params["steps"] = steps
        schedule = getattr(self.model, "fit_schedule", None)
        if schedule is not None:
            schedule.change_steps(steps)
