"""Callbacks of a training: copies of the user's, and batches that grow."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.src.engine.tuner_utils import convert_hyperparams_to_hparams

from kt_tuning.core.errors import OptionError
from kt_tuning.data.batch_loader import Loader

PATIENCE = 2
"""Epochs without a notably lower training loss after which batches are doubled."""
NOTABLE = 0.01
"""Relative decrease of the lowest training loss that counts as an improvement."""
SIZE, LOWEST, WAITED = "batch_size", "lowest_loss", "epochs_waited"


class CallbackError(OptionError, keras_tuner.errors.FatalValueError):
    """The callbacks should be such that they can be copied; a FatalValueError in KerasTuner."""


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that cannot be copied for each training.

    Args:
        callbacks: As passed to `search`.

    Raises:
        CallbackError: if one cannot be copied; it names that callback and the reason.
    """
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


class BatchGrowth(keras.callbacks.Callback):
    """Doubles the batch size whenever the training loss stalls, up to a maximum.

    At a given learning rate a stall is mostly gradient noise, which larger batches reduce (Smith et
    al. 2018, "Don't decay the learning rate, increase the batch size"). The validation loss is not
    used: overfitting is no noise.

    Learning-rate schedules of `hypermodels` advance by epochs, others by steps. The callback must
    come before the one that writes checkpoints, which then have the new size.

    Args:
        loader: The loader that is resized.
        most: Largest number of images a batch.
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
