"""A Keras model as a TensorFlow SavedModel that classifies pixels and image files.

`LoadedModel` predicts with it by TensorFlow alone, without Keras and the training code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, ExportError, StorageError
from kt_tuning.core.json_record import content_checked, read_json
from kt_tuning.core.quiet import quiet_logger
from kt_tuning.core.records import DataCard, PixelFormat, check_image_batch
from kt_tuning.export.export_source import (
    LABELS_FILE,
    PROVENANCE_FILE,
    Predict,
    Source,
    predict_all,
)
from kt_tuning.export.measurement import FLOAT32, check_tolerance, compare
from kt_tuning.run.layout import EXPORT

if TYPE_CHECKING:
    import keras

# TensorFlow is imported where it is used: the command line reaches this module before it knows
# whether there is anything to predict.

PIXELS_SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serve_bytes"

logger = logging.getLogger("kt_tuning")


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


class LoadedModel:
    """An exported SavedModel in memory; `load_saved_model` makes one.

    Attributes:
        class_names: Names by label, 0 first.
        pixels: Shape of the images that `predict` takes, and how image files become such images.
    """

    def __init__(self, loaded: Any, class_names: Sequence[str], bits: int = 16) -> None:
        # Kept, as its signatures stop working when it is collected.
        self._loaded = loaded
        self.class_names = tuple(class_names)
        _, inputs = loaded.signatures[PIXELS_SIGNATURE].structured_input_signature
        height, width, channels = inputs["images"].shape[1:]
        self.pixels = PixelFormat(height, width, channels, bits)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.pixels.shape))
        return f"LoadedModel({shape}, {len(self.class_names)} classes)"

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of images.

        Args:
            images: uint8 (N, height, width, channels), 0 to 255; any number of them, which are
                given to the model in batches.

        Returns:
            float32 (N, classes).

        Raises:
            DataError: if there are no images, or they have another type or shape.
        """
        import tensorflow as tf

        try:
            images = np.asarray(images)
        except ValueError as error:  # NumPy's "inhomogeneous shape"
            raise DataError(f"The model takes images of one shape: {error}") from error
        check_image_batch(images, self.pixels.shape)
        run = self._loaded.signatures[PIXELS_SIGNATURE]
        return predict_all(
            lambda batch: run(images=tf.constant(batch))["probabilities"].numpy(), images
        )

    __call__ = predict

    def predict_bytes(self, image_bytes: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        """Return what the signature `serve_bytes` gives for image files.

        Args:
            image_bytes: Contents of N files: JPEG, PNG, WebP, GIF or BMP; see `export.decode`.

        Returns:
            "probabilities", float32 (N, classes), "label", (N,) class names in UTF-8, and "error",
            (N,): why a file cannot be decoded, whose probabilities are zeros and whose label is
            empty; b"" for others.

        Raises:
            DataError: if there are no files, or they are no bytes.
        """
        import tensorflow as tf

        contents = list(image_bytes) if isinstance(image_bytes, Iterable) else [image_bytes]
        if not contents or not all(isinstance(content, bytes) for content in contents):
            received = ", ".join(sorted({type(content).__name__ for content in contents}))
            raise DataError(
                "The model takes a list of the contents of image files, bytes, at least one of "
                f"them. Received: {type(image_bytes).__name__} of {received or 'nothing'}."
            )
        outputs = self._loaded.signatures[BYTES_SIGNATURE](image_bytes=tf.constant(contents))
        return {name: output.numpy() for name, output in outputs.items()}


def load_saved_model(path: str | Path) -> LoadedModel:
    """Load an exported SavedModel for prediction.

    Args:
        path: The folder that `export_model` wrote.

    Raises:
        StorageError: if the folder is not there, or is something else.
        ExportError: if its content is damaged.
    """
    path = Path(path)
    for needed in ("saved_model.pb", LABELS_FILE):
        if not (path / needed).is_file():
            raise StorageError(
                f"{path} is not an exported model: it has no {needed}.{_suggestion(path)}"
            )

    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
        outputs = [
            loaded.signatures[name].structured_outputs["probabilities"]
            for name in (PIXELS_SIGNATURE, BYTES_SIGNATURE)
        ]
    except Exception as error:  # damaged files make TensorFlow raise almost anything
        reason = str(error).partition("\n")[0]
        raise ExportError(f"{path} is damaged: export the model again. ({reason})") from error
    again = "Export the model again."
    with content_checked(path / LABELS_FILE, way_on=again):
        text = (path / LABELS_FILE).read_text(encoding="utf-8")
    class_names = text.removesuffix("\n").split("\n")
    if any(output.shape[1] != len(class_names) for output in outputs):
        raise ExportError(
            f"{path / LABELS_FILE} should name {outputs[0].shape[1]} classes, one per line. "
            f"Received: {len(class_names)}."
        )
    bits = 16
    record = path / PROVENANCE_FILE
    if record.is_file():
        with content_checked(record, way_on=again):
            card = DataCard.from_json(read_json(record, way_on=again)["data"], source=str(record))
        if list(card.class_names) != class_names:
            # People may translate them.
            logger.warning(
                "%s names other classes than %s: %s.",
                path / LABELS_FILE,
                record.name,
                ", ".join(card.class_names),
            )
        bits = card.pixels.bits
    return LoadedModel(loaded, class_names, bits)


def _suggestion(path: Path) -> str:
    """Name the newest version below `path`, which may be a run or the folder of all versions."""
    files = [*path.glob("*/saved_model.pb"), *path.glob(f"{EXPORT}/*/saved_model.pb")]
    folders = [file.parent for file in files if file.parent.name.isdecimal()]
    newest = max(folders, key=lambda folder: int(folder.name), default=None)
    return "" if newest is None else f" Did you mean {newest}?"
