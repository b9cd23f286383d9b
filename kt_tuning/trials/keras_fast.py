"""Faster and leaner training with Keras on TensorFlow; results are those of Keras.

- One traced function a training step and no `tf.data`: Keras traces two functions, and the threads
  of `tf.data` cost a fifth of a small model's step where each trial has one processor.
- Batch normalisation by `FusedBatchNormV3`, which Keras 3 does not use: in float32 it takes two
  fifths of the time, with 16-bit features a third. In Keras it is half of the time of a small
  residual network.
- TensorFlow forgets the graphs of a trial, 2 to 3 MB for a small model.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras

from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batch
from kt_tuning.trials.building import layers_of
from kt_tuning.trials.classifiers import build_metrics
from kt_tuning.trials.metrics import scalar

UNDERSTOOD = {"epochs", "initial_epoch", "callbacks", "shuffle", "verbose"}
BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
LEAST_EPSILON = 1e-5
"""Smallest epsilon of batch normalisation that cuDNN accepts."""
IMAGE_AXES = 4
"""Axes of feature maps."""


def prepare_classifier(model: keras.Model, classes: int) -> None:
    """Replace the training loop of a classifier for fits on a `Loader`.

    `keras.Model.fit` still handles everything else: other data or arguments, models with their own
    training function or compiled without a graph, and devices that share a batch. A model that is
    compiled again is trained as compiled.

    Args:
        model: A compiled model.
        classes: Width of its predictions.
    """
    if keras.backend.backend() != "tensorflow" or not model.built:
        return
    if model.output_shape != (None, classes):
        return
    if type(model).make_train_function is keras.Model.make_train_function:
        training = _Training(model)
        model.fit, model.compile = training.fit, training.compile
        model.make_train_function = training.make_train_function


def is_prepared(model: keras.Model) -> bool:
    """Whether the replaced loop trains a model as it is compiled now."""
    training = getattr(model.fit, "__self__", None)
    return isinstance(training, _Training) and training.is_able()


class _Training:
    """The training loop of a model."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._keras_fit = model.fit
        self._keras_make = model.make_train_function
        self._keras_compile = model.compile
        self._step: Any = None

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
        if not known or not self.is_able():
            return self._keras_fit(*args, **kwargs)
        model, loader = self._model, args[0]
        initial_epoch, epochs = kwargs.get("initial_epoch", 0), kwargs.get("epochs", 1)
        hooks = kwargs.get("callbacks") or []
        if not isinstance(hooks, keras.callbacks.CallbackList):
            hooks = keras.callbacks.CallbackList(
                list(hooks), add_history=True, model=model, epochs=epochs, steps=len(loader)
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
                if self._step is None:
                    self._step = self._traceable(batch)
                logs = self._step(*batch)
                for callback in watching:
                    callback.on_train_batch_end(index, _floats(logs, callback))
                if model.stop_training:
                    break
            measured = model.get_metrics_result()
            # A custom training step may return other logs.
            logs = measured if measured.keys() == logs.keys() else logs
            logs = {name: scalar(value) for name, value in logs.items()}
            hooks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if epochs > initial_epoch:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        hooks.on_train_end(logs)
        return getattr(model, "history", None)

    def _traceable(self, batch: Batch) -> Any:
        """Return a training step for batches like this one; it is traced when it is called."""
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
    """Return the logs as floats, for which an asynchronous device must be awaited."""
    if not getattr(callback, "reads_batch_logs", True):
        return None
    return {name: scalar(value) for name, value in logs.items()}


def fuse_batch_normalization(model: keras.Model) -> None:
    """Change a model to compute each batch normalisation in one pass, which trains faster.

    TensorFlow's operation `FusedBatchNormV3` replaces Keras' computation. Results and saved models
    stay the same. In float32 only training steps use it: predictions are exactly those of Keras.
    Nothing changes on other backends than TensorFlow, for layers over other axes than the last one
    of feature maps, for layers with renormalisation or synchronisation, and for subclasses.

    Args:
        model: A model that has not been traced yet, that is, neither trained nor used to predict.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in layers_of(model):
        if _is_fusible(layer):
            layer.call = functools.partial(_fused_call, layer, layer.call)


def _is_fusible(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == IMAGE_AXES
        and layer.axis in (-1, IMAGE_AXES - 1)
        and layer.variable_dtype == "float32"
        and layer.epsilon >= LEAST_EPSILON
        and not getattr(layer, "renorm", False)  # Keras has it since 3.14
        and not layer.synchronized
        # Of a frozen network that several models share.
        and not isinstance(layer.call, functools.partial)
    )


def _fused_call(
    layer: keras.layers.BatchNormalization,
    unfused: Any,
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """Replace `BatchNormalization.call`."""
    import tensorflow as tf

    normalizes_batch = training and layer.trainable
    as_in_keras = not normalizes_batch and keras.ops.dtype(inputs) == "float32"
    if as_in_keras or mask is not None or keras.ops.dtype(inputs) == "float64":
        return unfused(inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    arguments = {
        "x": inputs,
        "scale": layer.gamma.value if layer.scale else tf.ones(channels),
        "offset": layer.beta.value if layer.center else tf.zeros(channels),
        "epsilon": layer.epsilon,
    }
    if not normalizes_batch:
        statistics = {"mean": layer.moving_mean.value, "variance": layer.moving_variance.value}
        result = tf.raw_ops.FusedBatchNormV3(**arguments, **statistics, is_training=False)
        return result.y
    result = tf.raw_ops.FusedBatchNormV3(**arguments, mean=[], variance=[], is_training=True)
    # Keras averages the variance of the batch itself, not the unbiased one.
    count = tf.cast(tf.size(inputs) // channels, "float32")
    variance = result.batch_variance * (tf.maximum(count - 1, 1) / count)
    for moving, of_batch in (
        (layer.moving_mean, result.batch_mean),
        (layer.moving_variance, variance),
    ):
        moving.assign(moving * layer.momentum + of_batch * (1.0 - layer.momentum))
    return result.y


@contextlib.contextmanager
def forget_gradients() -> Iterator[None]:
    """Release the graphs that are traced in the block.

    Keras' optimizers update variables under a custom gradient. TensorFlow registers it under a new
    name at each tracing and keeps it with the whole graph of the training step
    (https://github.com/tensorflow/tensorflow/issues/97697).
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in registry.keys() - before:
            if name.startswith("CustomGradient-"):
                del registry[name]
