"""What TensorFlow would keep of every trial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def forget_gradients() -> Iterator[None]:
    """Let go of the graphs that are traced in the block.

    Keras' optimizers update their variables under a custom gradient, which TensorFlow registers
    under a new name each time one is traced, and keeps, with the whole graph of the training
    step, for good: 2 to 3 MB for a small model
    (https://github.com/tensorflow/tensorflow/issues/97697).
    """
    registry = _gradient_registry()
    before = set(registry)
    try:
        yield
    finally:
        for name in registry.keys() - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def _gradient_registry() -> dict[str, Any]:
    """TensorFlow's own dictionary; an empty one if it is not where it was in TensorFlow 2.21."""
    if keras.backend.backend() != "tensorflow":
        return {}
    try:
        from tensorflow.python.framework import ops

        registry = ops.gradient_registry._registry
    except (ImportError, AttributeError):
        return {}
    return registry if isinstance(registry, dict) else {}
