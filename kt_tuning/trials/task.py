"""The interface of a trial's task: the hypermodel, the data, training and evaluation."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from kt_tuning.trials.checkpoint import TrainingState

Probabilities = NDArray[np.float32]


class Task(abc.ABC):
    """What `run_trial` needs: the hypermodel, the data, training and evaluation.

    Attributes:
        hypermodel: Builds the models.
        measures_itself: Whether `predict` and `measure` evaluate each epoch. If not, Keras does.
        precision: Precision of the training, see `kt_tuning.Recipe`; "auto" depends on the family.
    """

    hypermodel: keras_tuner.HyperModel
    measures_itself: bool = False
    precision: str

    @property
    def measures_every_epoch(self) -> bool:
        """Whether the objective has to be among the logs of every epoch."""
        return True

    def fixes_epochs(self, values: Mapping[str, Any]) -> bool:
        """Whether a training ends when it has trained the epochs of its specification."""
        return True

    def patience(self, values: Mapping[str, Any]) -> int | None:
        """Return the epochs without improvement after which a trial stops, or None."""
        return None

    def check(self, model: keras.Model) -> None:  # noqa: B027  a hook, not a duty
        """Raise an `OptionError` if a built model is not one for the data."""

    def prepare(self, model: keras.Model) -> None:  # noqa: B027  a hook, not a duty
        """Prepare a built model for `fit`."""

    @abc.abstractmethod
    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        state: TrainingState,
        *,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        folder: str = "",
    ) -> Any:
        """Train `model`; return the result of `HyperModel.fit`.

        Args:
            hp: The configuration.
            model: Its model.
            state: Epochs done and to do. Its `memory` is restored when an interrupted training
                continues.
            seed: Seed of order and augmentation.
            callbacks: Those of the trial.
            folder: Subdirectory of this training in the log directories of the user's callbacks.
        """

    @abc.abstractmethod
    def predict(self, model: keras.Model) -> Probabilities | None:
        """Return probabilities (N, classes) on the validation split, or None."""

    def predict_mirrored(
        self, hp: keras_tuner.HyperParameters, model: keras.Model
    ) -> Probabilities | None:
        """Return probabilities (N, classes) of the mirror images of the validation split, or None.

        Args:
            hp: The configuration of `model`.
            model: A trained model.
        """
        return None

    def measure(self, predictions: Probabilities) -> dict[str, float]:
        """Return the metrics of an epoch from its predictions, named `val_…`."""
        return {}

    def describe(self, predictions: Probabilities) -> dict[str, float]:
        """Return every metric of the best epoch, named `val_…`."""
        return {}

    def evaluate(self, model: keras.Model) -> dict[str, float]:
        """Return further metrics of Keras on the validation split, named `val_…`."""
        return {}
