"""The model to export with its images and classes: validation, and the reference predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError
from kt_tuning.core.records import DataCard, check_image_batch

if TYPE_CHECKING:
    import keras

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 images (N, height, width, channels) -> probabilities (N, classes)."""

LABELS_FILE = "labels.txt"
PROVENANCE_FILE = "provenance.json"
"""Files beside an exported model."""

_BATCH = 32
"""Images at a time: on a processor few are predicted faster than many."""

# How far from 1 the probabilities of an image may sum: half precision is that inexact.
_SUM_TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A model to export: from uint8 (N, height, width, channels) to probabilities (N, classes).

    Attributes:
        model: The model.
        card: Class names and pixel format of the data that it was trained on.
        examples: Images like those that it will classify: int8 formats take the range of every
            activation from them.
    """

    model: keras.Model
    card: DataCard
    examples: NDArray[np.uint8] | None = None

    def check(self) -> None:
        """Refuse a model or examples that cannot be exported.

        Raises:
            ExportError: if Keras runs on another backend than TensorFlow, the model takes other
                images than the card says, or a class name has more than one line.
            DataError: if the examples do not fit the card.
        """
        import keras

        backend = keras.config.backend()
        if backend != "tensorflow":
            raise ExportError(
                "Models are exported with Keras's TensorFlow backend. "
                f"Received: {backend!r}. Save the weights, and load and export them with "
                "KERAS_BACKEND=tensorflow."
            )
        names = self.card.class_names
        if any(character in name for name in names for character in "\r\n"):
            raise ExportError(f"A class name should be one line. Received: {names}.")
        takes = getattr(self.model, "input_shape", (None, *self.card.pixels.shape))
        if tuple(takes[1:]) != self.card.pixels.shape:
            raise ExportError(
                f"The model takes images of {tuple(takes[1:])}. Expected, from the data: "
                f"{self.card.pixels.shape}."
            )
        if self.examples is not None:
            check_image_batch(self.examples, self.card.pixels.shape, "examples")

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the model's probabilities (N, classes).

        Raises:
            ExportError: if its outputs are not one distribution over the card's classes an image.
        """
        import tensorflow as tf

        call = graph_of(self.model, self.card.pixels.shape)
        output = tf.nest.map_structure(
            lambda *parts: np.concatenate([tf.cast(part, tf.float32).numpy() for part in parts]),
            *map(call, _batches(images)),
        )
        classes = len(self.card.class_names)
        if getattr(output, "shape", None) != (len(images), classes):
            received = tf.nest.map_structure(lambda part: part.shape, output)
            raise ExportError(
                f"The model gives outputs of shape {received} for {len(images)} images. "
                f"Expected: one probability for each of the data's {classes} classes."
            )
        if not (output.min() >= 0 and np.abs(output.sum(axis=1) - 1).max() <= _SUM_TOLERANCE):
            raise ExportError(
                f"The model's outputs should be probabilities, but lie in {output.min():.3g} to "
                f"{output.max():.3g} and do not sum to 1. End the model with a softmax."
            )
        return output


def graph_of(model: keras.Model, shape: Sequence[int]) -> Any:
    """Return the model as the graph that is served, a `tf.function` of uint8 images.

    `predict` compiles some models by XLA, which rounds half precision in other places.

    Args:
        model: On TensorFlow.
        shape: (height, width, channels) of the images.
    """
    import tensorflow as tf

    spec = tf.TensorSpec((None, *shape), tf.uint8)
    return tf.function(
        lambda images: model(images, training=False), input_signature=[spec], autograph=False
    )


def predict_all(predict: Predict, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict any number of images, in batches that fit into memory."""
    return np.concatenate([predict(batch) for batch in _batches(images)])


def _batches(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
