"""A task on data of any kind that `keras.Model.fit` takes."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.core.errors import OptionError
from kt_tuning.trials.building import AUTO, FLOAT32, has_own_fit
from kt_tuning.trials.callbacks import copy_callbacks
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.task import Probabilities, Task

EPOCHS = "tuner/epochs"
"""Hyperparameter by which KerasTuner's Hyperband sets the epochs of a trial."""


class KerasTask(Task):
    """Trains on whatever `keras.Model.fit` takes; Keras evaluates, as in KerasTuner.

    A hypermodel with its own `fit` gets the arguments of `search` and the callbacks, and nothing
    else.

    Args:
        hypermodel: Builds the models.
        args: Positional arguments of `fit`.
        kwargs: Keyword arguments of `fit`, without `epochs`.
        precision: Precision of the training, see `kt_tuning.Recipe`. "auto" is float32 for a
            hypermodel with its own `fit`, whose float32 models cannot be evaluated.
        fixed_epochs: Whether each trial trains as many epochs as its specification says. If not,
            `fit` is passed no `epochs`, and trains as many as it does by default.

    Raises:
        OptionError: if models should train in 16 bits with `validation_split`: the float32 models
            that are returned cannot be evaluated then.
    """

    def __init__(
        self,
        hypermodel: keras_tuner.HyperModel,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        precision: str = FLOAT32,
        fixed_epochs: bool = True,
    ) -> None:
        self.hypermodel = hypermodel
        self._args = args
        self._kwargs = dict(kwargs)
        self._has_own_fit = has_own_fit(hypermodel)
        self.precision = self._measurable(precision)
        self._callbacks = self._kwargs.pop("callbacks", None) or []
        self._first_epoch = self._kwargs.pop("initial_epoch", 0)
        self._fixed_epochs = fixed_epochs
        if not self._has_own_fit:
            self._kwargs.setdefault("verbose", 0)
            # A `tf.data.Dataset`; TensorFlow need not be installed.
            if args and hasattr(args[0], "element_spec"):
                # With Keras' default, True, it warns that a data set shuffles itself.
                self._kwargs.setdefault("shuffle", False)

    @property
    def measures_every_epoch(self) -> bool:
        """Whether the objective has to be among the logs of every epoch."""
        return not self._has_own_fit and self._kwargs.get("validation_freq", 1) == 1

    def fixes_epochs(self, values: Mapping[str, Any]) -> bool:
        """Whether a training ends when it has trained the epochs of its specification."""
        return (self._fixed_epochs or EPOCHS in values) and not self._has_own_fit

    def _measurable(self, precision: str) -> str:
        """Return the precision; models that train in 16 bits are evaluated again in float32."""
        split = bool(self._kwargs.get("validation_split"))
        if precision == AUTO and (split or self._has_own_fit):
            return FLOAT32
        if precision == FLOAT32 or not split:
            return precision
        raise OptionError(
            "Models are returned and evaluated in float32: with "
            f"precision={precision!r} pass `validation_data` in place of `validation_split`."
        )

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
        """Train as `keras.Model.fit` does."""
        arguments = dict(self._kwargs)
        first = state.done
        if EPOCHS not in hp.values:
            first += self._first_epoch
        if self._fixed_epochs or EPOCHS in hp.values:
            arguments["epochs"] = state.epochs
        if first:
            arguments["initial_epoch"] = first
        return self.hypermodel.fit(
            hp,
            model,
            *self._args,
            callbacks=[*callbacks, *copy_callbacks(self._callbacks, hp, folder)],
            **arguments,
        )

    def predict(self, model: keras.Model) -> Probabilities | None:
        """Return predictions (N, classes) on `validation_data`, None for other shapes.

        None as well if the data may be endless or can be read only once, and if the hypermodel's
        own `fit` may prepare them in a way that is not known here.
        """
        data = self._kwargs.get("validation_data")
        images = data[0] if isinstance(data, (tuple, list)) else data
        if images is None or self._has_own_fit or self._kwargs.get("validation_steps"):
            return None
        if isinstance(images, types.GeneratorType):
            return None
        predictions = model.predict(images, verbose=0)
        if isinstance(predictions, (dict, list, tuple)):
            return None
        predictions = np.asarray(predictions)
        if predictions.ndim != 2 or predictions.shape[1] < 2:
            return None
        return predictions.astype(np.float32)

    def evaluate(self, model: keras.Model) -> dict[str, float]:
        """Return the loss and the compiled metrics on `validation_data`, as `fit` does."""
        data, options = self._kwargs.get("validation_data"), self._kwargs
        if data is None or self._has_own_fit:
            return {}
        parts = data if isinstance(data, (tuple, list)) else (data,)
        names = ("x", "y", "sample_weight")
        measured = model.evaluate(
            **dict(zip(names, parts, strict=False)),
            batch_size=options.get("validation_batch_size") or options.get("batch_size"),
            steps=options.get("validation_steps"),
            verbose=0,
            return_dict=True,
        )
        return {f"val_{name}": float(np.mean(value)) for name, value in measured.items()}
