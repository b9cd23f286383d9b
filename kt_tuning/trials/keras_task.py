"""A task on data of any kind that `keras.Model.fit` takes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.errors import OptionError
from kt_tuning.trials.precision import AUTO, FLOAT32, training_precision
from kt_tuning.trials.tasks import Probabilities


class KerasTask:
    """Trains on data of any kind; Keras evaluates, as in KerasTuner.

    Args:
        hypermodel: Builds the models.
        args: Positional arguments of `fit`.
        kwargs: Keyword arguments of `fit`, with `validation_data`.
        precision: Precision of the training, see `kt_tuning.Recipe`.

    Raises:
        OptionError: if models should train in 16 bits with `validation_split`: the float32 models
            that are returned cannot be evaluated then.
    """

    measures_itself = False

    def __init__(
        self,
        hypermodel: keras_tuner.HyperModel,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        precision: str = FLOAT32,
    ) -> None:
        self.hypermodel = hypermodel
        self._args = args
        self._kwargs = dict(kwargs)
        self._precision = self._measurable(precision)
        self._callbacks = self._kwargs.pop("callbacks", None) or []
        self._kwargs.setdefault("verbose", 0)
        if args and _is_dataset(args[0]):
            # With Keras' default, True, Keras warns that a data set shuffles itself.
            self._kwargs.setdefault("shuffle", False)

    def _measurable(self, precision: str) -> str:
        """Return the precision; models that train in 16 bits are evaluated again in float32."""
        if precision == FLOAT32 or not self._kwargs.get("validation_split"):
            return precision
        if precision == AUTO:
            return FLOAT32
        raise OptionError(
            "Models are returned and evaluated in float32: with "
            f"precision={precision!r} pass `validation_data` in place of `validation_split`."
        )

    def precision(self, values: Mapping[str, Any]) -> str:
        """Return the precision of a configuration; "auto" depends on the family."""
        return training_precision(self.hypermodel, self._precision, values)

    def check(self, model: keras.Model) -> None:
        """Do nothing: only Keras knows the data."""

    def prepare(self, model: keras.Model) -> None:
        """Do nothing: only Keras knows the data."""

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *,
        epochs: int,
        initial_epoch: int,
        seed: int,
        memory: dict[str, Any],
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> Any:
        """Train as `keras.Model.fit` does."""
        return self.hypermodel.fit(
            hp,
            model,
            *self._args,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=[*callbacks, *copy.deepcopy(list(self._callbacks))],
            **self._kwargs,
        )

    def patience(self, values: Mapping[str, Any]) -> int | None:
        """Return None: pass `keras.callbacks.EarlyStopping`."""
        return None

    def predict(self, model: keras.Model) -> Probabilities | None:
        """Return predictions (N, classes) on `validation_data`, None for other shapes."""
        data = self._kwargs.get("validation_data")
        images = data[0] if isinstance(data, (tuple, list)) else data
        if images is None:
            return None
        predictions = np.asarray(model.predict(images, verbose=0))
        if predictions.ndim != 2 or predictions.shape[1] < 2:
            return None
        return predictions.astype(np.float32)

    def measure(self, predictions: Probabilities) -> dict[str, float]:
        """Return nothing: Keras has evaluated."""
        return {}

    def describe(self, predictions: Probabilities) -> dict[str, float]:
        """Return nothing: Keras has evaluated."""
        return {}

    def evaluate(self, model: keras.Model) -> dict[str, float]:
        """Return the loss and the compiled metrics on `validation_data`, as `fit` does."""
        data, options = self._kwargs.get("validation_data"), self._kwargs
        if data is None:
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
        return {f"val_{name}": float(value) for name, value in measured.items()}


def _is_dataset(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`; TensorFlow need not be installed."""
    return hasattr(x, "element_spec")
