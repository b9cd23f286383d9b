"""The part of a model that is never trained: its features need computing only once."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hypermodels.prediction_batches import equal_batches, prediction_batch_size

ROWS = 256
"""Features that are classified at a time."""


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of labelled images.

    Attributes:
        values: float (n, …), in the order of the images.
        labels: (n,) integers.
        weights: (n,) how much each image counts, above 0; None: all alike.
    """

    values: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    weights: NDArray[np.floating[Any]] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class FrozenPart:
    """A model taken apart where its frozen layers end. Weights are shared.

    Attributes:
        model: uint8 pixels (N, height, width, channels) -> features (N, …).
        head: features (N, …) -> probabilities (N, classes).
    """

    model: keras.Model
    head: keras.Model

    @classmethod
    def of(cls, model: keras.Model, features: Any) -> FrozenPart:
        """Take a model apart.

        Args:
            model: Functional, uint8 pixels -> probabilities.
            features: The tensor in it that the frozen layers compute and the others read.
        """
        return cls(keras.Model(model.inputs[0], features), keras.Model(features, model.outputs))

    @functools.cached_property
    def digest(self) -> str:
        """A hexadecimal digest of layers and weights, whatever Keras has called the layers."""
        described = [self.model.input_shape, *_described(self.model)]
        layers = json.dumps(described, sort_keys=True, default=str)
        found = hashlib.blake2b(layers.encode(), digest_size=16)
        for weights in self.model.get_weights():
            found.update(np.ascontiguousarray(weights).tobytes())
        return found.hexdigest()

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (n, …) of some images: uint8 (n, height, width, channels)."""
        size = prediction_batch_size(self.model, images.shape[1:])
        return _predict(self.model, images, size)

    def classify(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the probabilities (n, classes) of features (n, …)."""
        return _predict(self.head, features, ROWS)


def learns_only_head(model: keras.Model) -> bool:
    """Whether only the head of a model is trained, on the features of its frozen part.

    A linear probe is such a model. Fine-tuning begins with that (it has a `start`) and goes on.
    """
    return getattr(model, "frozen", None) is not None and getattr(model, "start", None) is None


def _predict(model: keras.Model, rows: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return the outputs (n, …) of a model, at most `size` rows at a time."""
    batches = (rows[places] for places in equal_batches(len(rows), size))
    parts = [keras.ops.convert_to_numpy(model.predict_on_batch(batch)) for batch in batches]
    return np.concatenate(parts)[: len(rows)]


def _described(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Class and settings of each layer, those of nested models included, in order.

    However the layers are divided among nested models.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _described(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield type(layer).__name__, {**layer.get_config(), "name": None, "trainable": None}


def extract(frozen: FrozenPart, x: Any, y: Any) -> Features:
    """Compute the features of training data of any kind that `keras.Model.fit` takes.

    Args:
        frozen: What computes them.
        x: An array of images and `y` its labels; or a data set of (images, labels).
        y: Integers (n,) or (n, 1), or one-hot rows (n, classes); None for a data set.
    """
    if y is not None:
        return Features(frozen.features(np.asarray(x)), _integers(y))
    batches = (x[index] for index in range(len(x))) if hasattr(x, "__getitem__") else x
    values, labels = [], []
    for images, targets, *_ in batches:
        values.append(frozen.features(keras.ops.convert_to_numpy(images)))
        labels.append(_integers(keras.ops.convert_to_numpy(targets)))
    return Features(np.concatenate(values), np.concatenate(labels))


def _integers(labels: Any) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(1)
    return labels.reshape(-1).astype(np.int64)
