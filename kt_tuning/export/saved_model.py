"""A Keras model as a TensorFlow SavedModel that classifies pixels and image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError
from kt_tuning.core.quiet import quiet_logger
from kt_tuning.export.export_source import Predict, Source
from kt_tuning.export.numerical_check import FLOAT32, check_tolerance, compare
from kt_tuning.export.saved_model_loader import BYTES_SIGNATURE, PIXELS_SIGNATURE, LoadedModel

if TYPE_CHECKING:
    import keras


def write_saved_model(source: Source, folder: Path) -> None:
    """Write a SavedModel for TensorFlow Serving, or for `load_saved_model`.

    It has two signatures:

    * `serving_default`: `images`, uint8 (N, height, width, channels), to `probabilities`, float32
      (N, classes).
    * `serve_bytes`: `image_bytes`, N strings with the bytes of JPEG, PNG, GIF, BMP or WebP files,
      to `probabilities`, `label`, N strings, and `error`, N strings. Files are decoded and resized
      as in training. For a file that cannot be decoded `error` says why, `probabilities` are zeros
      and `label` is empty; for others `error` is empty.
    """
    import tensorflow as tf

    from hypermodels.folding import fold_batch_normalization
    from kt_tuning.export.decode import decode_batch

    model, card = fold_batch_normalization(source.model), source.card

    def serve_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A signature does not check the size by itself, and a convolution takes any.
        images = tf.ensure_shape(images, (None, *card.pixels.shape))
        return {"probabilities": tf.cast(model(images, training=False), tf.float32)}

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images, error = decode_batch(image_bytes, card.pixels)
        probabilities = from_pixels(images)["probabilities"]
        label = tf.gather(list(card.class_names), tf.argmax(probabilities, axis=1))
        is_decoded = tf.equal(error, "")
        return {
            "probabilities": tf.where(is_decoded[:, tf.newaxis], probabilities, 0.0),
            "label": tf.where(is_decoded, label, ""),
            "error": error,
        }

    images = tf.TensorSpec((None, *card.pixels.shape), tf.uint8, name="images")
    from_pixels = tf.function(serve_pixels, input_signature=[images], autograph=False)
    image_bytes = tf.TensorSpec((None,), tf.string, name="image_bytes")
    from_bytes = tf.function(serve_bytes, input_signature=[image_bytes], autograph=False)
    # Concrete functions: TensorFlow would trace others again.
    signatures = {
        PIXELS_SIGNATURE: from_pixels.get_concrete_function(),
        BYTES_SIGNATURE: from_bytes.get_concrete_function(),
    }
    module = tf.Module()
    module.resources = _resources(model)
    with quiet_logger("tensorflow"):
        tf.saved_model.save(module, str(folder), signatures)


def check_files(
    predict: Predict, source: Source, images: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    """Compare the probabilities of `images` as PNG files with those of the trained model.

    Args:
        predict: The `LoadedModel`.
        source: The model that was exported.
        images: uint8 (N, height, width, channels).
        expected: The trained model's probabilities, (N, classes).

    Raises:
        ExportError: if they differ, or a label is not the name of the most probable class.
    """
    import tensorflow as tf

    assert isinstance(predict, LoadedModel)
    found = predict.predict_bytes([tf.io.encode_png(image, 0).numpy() for image in images])
    check_tolerance(compare(found["probabilities"], expected), FLOAT32, "saved_model, from files")
    # By the exported probabilities: within the tolerance, equal ones may swap places.
    names = [source.card.class_names[index] for index in found["probabilities"].argmax(axis=1)]
    labels = [label.decode() for label in found["label"]]
    wrong = [pair for pair in zip(labels, names, strict=True) if pair[0] != pair[1]]
    if wrong:
        raise ExportError(
            f"The exported model gives {len(wrong)} of {len(labels)} images a wrong label, the "
            f"first one {wrong[0][0]!r}. Expected: {wrong[0][1]!r}."
        )


def _resources(model: keras.Model) -> list[Any]:
    """Return what a graph of the model may refer to: variables, and tables of its layers."""
    import tensorflow as tf

    kind = tf.saved_model.experimental.TrackableResource
    held = [value for layer in model._flatten_layers() for value in vars(layer).values()]
    return [
        *(variable.value for variable in model.variables),
        *(value for value in held if isinstance(value, kind)),
    ]
