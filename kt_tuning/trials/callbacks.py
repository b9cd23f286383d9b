"""The user's callbacks: copies for each training, and a TensorBoard folder for each."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import keras
import keras_tuner
from keras_tuner.src.engine.tuner_utils import convert_hyperparams_to_hparams

from kt_tuning.core.errors import OptionError
from kt_tuning.trials.fatal_errors import CallbackError

TENSORBOARD = "TensorBoard"


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
        if not hasattr(callback, "set_model"):
            raise OptionError(f"`callbacks` is a list of Keras callbacks. In it is: {callback!r}")
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
        if type(callback).__name__ == TENSORBOARD and keras.backend.backend() == "tensorflow":
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
