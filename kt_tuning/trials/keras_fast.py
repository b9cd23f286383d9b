"""Training with less around it than `keras.Model.fit`: one traced function, no `tf.data`.

Keras wraps the training step into two traced functions, and reads a `PyDataset` through `tf.data`,
whose threads cost a fifth of a small model's step where there is one processor for each trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kt_tuning.data.batches import Batch
from kt_tuning.data.loader import Loader
from kt_tuning.trials.label_encoding import build_metrics

UNDERSTOOD = {"epochs", "initial_epoch", "callbacks", "shuffle", "verbose"}
BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def prepare_classifier(model: keras.Model, classes: int) -> None:
    """Have a classifier that is fitted on a `Loader` trained by a loop of our own.

    What that loop does not know goes to `keras.Model.fit`: other data, other arguments, models
    with a training function of their own or compiled without a graph, devices that share a batch.
    A model that is compiled again is trained as it is compiled then.

    Args:
        model: Compiled.
        classes: Width of its predictions.
    """
    if keras.backend.backend() != "tensorflow" or not model.built:
        return
    if model.output_shape != (None, classes):
        return
    if type(model).make_train_function is keras.Model.make_train_function:
        _Training(model).take_over()


def is_prepared(model: keras.Model) -> bool:
    """Whether our loop trains a model, as it is compiled now."""
    training = getattr(model.fit, "__self__", None)
    return isinstance(training, _Training) and training.is_able()


class _Training:
    """A model's training loop."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._keras_fit = model.fit
        self._keras_make = model.make_train_function
        self._keras_compile = model.compile
        self._step: Any = None

    def take_over(self) -> None:
        self._model.fit = self.fit
        self._model.make_train_function = self.make_train_function
        self._model.compile = self.compile

    def is_able(self) -> bool:
        """Whether the model is compiled into one graph a step, on one device."""
        import tensorflow as tf

        model = self._model
        special = model.run_eagerly or model.jit_compile or model.steps_per_execution != 1
        return model.compiled and not special and not tf.distribute.has_strategy()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self._step = None
        self._keras_compile(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        if force:
            self._step = None
        return self._keras_make(force)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        known = len(args) == 1 and isinstance(args[0], Loader) and kwargs.keys() <= UNDERSTOOD
        if known and self.is_able():
            return self._fit(
                args[0],
                kwargs.get("epochs", 1),
                kwargs.get("initial_epoch", 0),
                kwargs.get("callbacks") or [],
            )
        return self._keras_fit(*args, **kwargs)

    def _fit(
        self,
        loader: Loader,
        epochs: int,
        initial_epoch: int,
        callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList,
    ) -> keras.callbacks.History | None:
        model = self._model
        hooks = callbacks
        if not isinstance(hooks, keras.callbacks.CallbackList):
            hooks = keras.callbacks.CallbackList(
                list(callbacks), add_history=True, model=model, epochs=epochs, steps=len(loader)
            )
        watching = [callback for callback in hooks.callbacks if _watches_batches(callback)]
        model.stop_training = False
        hooks.on_train_begin()
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            hooks.on_epoch_begin(epoch)
            for index in range(len(loader)):
                batch = loader[index]
                for callback in watching:
                    callback.on_train_batch_begin(index)
                logs = self._train(batch)
                for callback in watching:
                    callback.on_train_batch_end(index, _floats(logs, callback))
                if model.stop_training:
                    break
            measured = model.get_metrics_result()
            # A training step of the user's own may return something else.
            logs = measured if measured.keys() == logs.keys() else logs
            logs = {name: float(value) for name, value in logs.items()}
            hooks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if epochs > initial_epoch:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        hooks.on_train_end(logs)
        return getattr(model, "history", None)

    def _train(self, batch: Batch) -> dict[str, Any]:
        if self._step is None:
            self._step = self._traceable(batch)
        logs: dict[str, Any] = self._step(*batch)
        return logs

    def _traceable(self, batch: Batch) -> Any:
        """A training step for batches like this one; it is traced when it is called."""
        import tensorflow as tf

        model = self._model
        # A step that had to make variables would be traced twice.
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        build_metrics(model, batch[1][:1])
        return tf.function(
            lambda *batch: model.train_step(batch),
            # Any number of images, or the last batch of an epoch would be traced again.
            input_signature=[tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batch],
            autograph=False,
        )


def _watches_batches(callback: keras.callbacks.Callback) -> bool:
    plain = keras.callbacks.Callback
    return any(getattr(type(callback), name) is not getattr(plain, name) for name in BATCH_HOOKS)


def _floats(logs: dict[str, Any], callback: keras.callbacks.Callback) -> dict[str, float] | None:
    """Logs as callbacks know them; a device that works ahead must wait for them."""
    if not getattr(callback, "reads_batch_logs", True):
        return None
    return {name: float(value) for name, value in logs.items()}
