"""KerasTuner's `optimizer`, `loss`, `metrics` and `distribution_strategy` of a tuner."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import keras_tuner

KERAS_METRICS = ("loss", "compile_metric", "compile_metrics")
"""Names of what Keras puts into `Model.metrics` besides the metrics that were compiled."""


class CompileOverrides(keras_tuner.HyperModel):
    """Compiles the models of another hypermodel anew, with the arguments of a tuner.

    Args:
        hypermodel: What builds the models.
        optimizer: A name or an optimizer, which is copied for each model; None keeps the model's.
        loss: A loss; None keeps the model's.
        metrics: Metrics; None keeps the model's.
        strategy: A `tf.distribute.Strategy` whose scope models are built in, or None.
    """

    def __init__(
        self,
        hypermodel: keras_tuner.HyperModel,
        *,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        strategy: Any = None,
    ) -> None:
        super().__init__()
        self.wrapped = hypermodel
        self._overrides = {
            name: value
            for name, value in (("optimizer", optimizer), ("loss", loss), ("metrics", metrics))
            if value
        }
        self._strategy = strategy

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the other hypermodel's model in the scope of the strategy, and compile it."""
        with contextlib.nullcontext() if self._strategy is None else self._strategy.scope():
            model = self.wrapped.build(hp)
            if self._overrides:
                model.compile(**self._arguments(model))
        return model

    def _arguments(self, model: keras.Model) -> dict[str, Any]:
        compiled = {
            "optimizer": model.optimizer,
            "loss": model.loss,
            "metrics": [each for each in model.metrics if each.name not in KERAS_METRICS],
        }
        arguments = {**compiled, **self._overrides}
        if isinstance(arguments["optimizer"], keras.optimizers.Optimizer):
            # An optimizer belongs to the variables of one model.
            config = keras.optimizers.serialize(arguments["optimizer"])
            arguments["optimizer"] = keras.optimizers.deserialize(config)
        return arguments

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the other hypermodel's hyperparameters."""
        self.wrapped.declare_hyperparameters(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the other hypermodel does."""
        return self.wrapped.fit(hp, model, *args, **kwargs)
