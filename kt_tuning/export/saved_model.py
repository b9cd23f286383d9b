"""A Keras model to a TensorFlow SavedModel that serves pixels and image files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.errors import ExportError
from kt_tuning.export.parity import FLOAT32, check_parity, measure_parity
from kt_tuning.export.quiet import quiet
from kt_tuning.export.served import BYTES_SIGNATURE, PIXELS_SIGNATURE, load_served
from kt_tuning.export.source import Predict, Source


def write_saved_model(source: Source, folder: Path) -> None:
    """Write a SavedModel for TensorFlow Serving, or for `load_served`.

    It has two signatures:

    * `serving_default`: `images`, uint8 (N, height, width, channels), to `probabilities`, float32
      (N, classes).
    * `serve_bytes`: `image_bytes`, N strings with the bytes of JPEG, PNG, GIF, BMP or WebP files,
      to `probabilities` and `label`, N strings. Files are decoded and resized as in training.
    """
    import keras
    import tensorflow as tf

    from kt_tuning.export.decode import decode_batch

    model, card = source.model, source.card

    def serve_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A signature does not check the size by itself, and a convolution takes any.
        images = tf.ensure_shape(images, (None, *card.pixels.shape))
        return {"probabilities": tf.cast(model(images, training=False), tf.float32)}

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = from_pixels(decode_batch(image_bytes, card.pixels))["probabilities"]
        label = tf.gather(list(card.class_names), tf.argmax(probabilities, axis=1))
        return {"probabilities": probabilities, "label": label}

    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec((None, *card.pixels.shape), tf.uint8, name="images")
    from_pixels = archive.add_endpoint(PIXELS_SIGNATURE, serve_pixels, [images])
    image_bytes = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint(BYTES_SIGNATURE, serve_bytes, [image_bytes])
    with quiet("tensorflow"):
        archive.write_out(str(folder), verbose=False)


def read_saved_model(folder: Path) -> Predict:
    """Load what `write_saved_model` wrote; `load_served` does the same for more than pixels."""
    return load_served(folder).predict


def check_files(
    folder: Path, source: Source, images: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    """Serve `images` as PNG files, too.

    Args:
        folder: What `write_saved_model` wrote.
        source: What it was made of.
        images: uint8 (N, height, width, channels).
        expected: The trained model's probabilities, (N, classes).

    Raises:
        ExportError: if the probabilities are others, or a label does not name the most probable
            class.
    """
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder)).signatures[BYTES_SIGNATURE]
    files = tf.stack([tf.io.encode_png(image) for image in images])
    answers = serve(image_bytes=files)
    served = answers["probabilities"].numpy()
    check_parity(measure_parity(served, expected), FLOAT32, "saved_model, from files")
    # Against the served probabilities: within the tolerance, equal ones may swap places.
    names = [source.card.class_names[index] for index in served.argmax(axis=1)]
    labels = [label.decode() for label in answers["label"].numpy()]
    wrong = [pair for pair in zip(labels, names, strict=True) if pair[0] != pair[1]]
    if wrong:
        raise ExportError(
            f"The exported model names {len(wrong)} of {len(labels)} images wrongly, the first "
            f"one {wrong[0][0]!r}. Expected: {wrong[0][1]!r}."
        )
