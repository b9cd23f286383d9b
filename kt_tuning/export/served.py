"""Predicting with an exported SavedModel: TensorFlow alone, without Keras and the training code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, ExportError, OptionError, StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import PixelFormat
from kt_tuning.export.folder import LABELS_FILE, PROVENANCE_FILE

# TensorFlow is imported where it is used: the command line reaches this module before it knows
# whether there is anything to predict.

PIXELS_SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serve_bytes"


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a model makes of one image file.

    Attributes:
        path: The file.
        label: Name of the most probable class.
        probability: The probability of that class, 0 to 1.
        probabilities: float32 (classes,), in the order of `Served.class_names`.
    """

    path: Path
    label: str
    probability: float
    probabilities: NDArray[np.float32]


class Served:
    """An exported model as a server sees it; `load_served` makes one."""

    def __init__(self, loaded: Any, class_names: Sequence[str], bits: int = 16) -> None:
        # Kept whole: its signatures stop working when what they came from is collected.
        self._loaded = loaded
        self._class_names = tuple(class_names)
        self._bits = bits

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        return f"Served({shape}, {len(self._class_names)} classes)"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label, 0 first."""
        return self._class_names

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that `predict` takes."""
        _, inputs = self._loaded.signatures[PIXELS_SIGNATURE].structured_input_signature
        height, width, channels = inputs["images"].shape[1:]
        return height, width, channels

    @property
    def pixels(self) -> PixelFormat:
        """How image files become the images that `predict` takes."""
        return PixelFormat(*self.input_shape, self._bits)

    def predict(self, images: NDArray[np.uint8], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Return the probabilities of images that are decoded already.

        Args:
            images: uint8 (N, height, width, channels), 0 to 255.
            batch_size: Images given to the model at once.

        Returns:
            float32 (N, classes).

        Raises:
            DataError: if there are no images, or they have another type or shape.
            OptionError: if the batch size is not positive.
        """
        import tensorflow as tf

        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.input_shape or not len(images):
            raise DataError(
                f"The model takes uint8 images of shape (N, {_join(self.input_shape)}), at least "
                f"one of them. Received: {images.dtype} of shape ({_join(images.shape)})."
            )
        run = self._loaded.signatures[PIXELS_SIGNATURE]
        return np.concatenate(
            [
                run(images=tf.constant(images[batch]))["probabilities"].numpy()
                for batch in _batches(len(images), batch_size)
            ]
        )

    def predict_files(
        self, paths: Iterable[str | Path], *, batch_size: int = 32
    ) -> list[Prediction]:
        """Decode, resize and classify image files: JPEG, PNG, BMP, GIF or WebP.

        Args:
            paths: The files.
            batch_size: Files decoded and given to the model at once.

        Returns:
            A `Prediction` a file, in the order given.

        Raises:
            DataError: if there are no files, or some cannot be decoded; the message names them.
            StorageError: if a file is missing or cannot be read.
            OptionError: if the batch size is not positive.
        """
        files = [Path(path) for path in paths]
        if not files:
            raise DataError("There are no image files to predict. Expected: at least one path.")
        for file in files:
            if not file.is_file():
                problem = "it is a folder" if file.is_dir() else "there is no such file"
                raise StorageError(f"Cannot read {file}: {problem}. Expected: an image file.")
        return [
            prediction
            for batch in _batches(len(files), batch_size)
            for prediction in self._predict_batch(files[batch])
        ]

    def answer_files(self, image_bytes: Any) -> dict[str, Any]:
        """Return what the signature `serve_bytes` answers: tensors, by name.

        Args:
            image_bytes: A tensor of N strings with the bytes of image files.
        """
        answers: dict[str, Any] = self._loaded.signatures[BYTES_SIGNATURE](image_bytes=image_bytes)
        return answers

    def _predict_batch(self, files: Sequence[Path]) -> list[Prediction]:
        contents = [_read(file) for file in files]
        probabilities = self._run(contents)
        if probabilities is None:
            pairs = zip(files, contents, strict=True)
            broken = [str(file) for file, content in pairs if self._run([content]) is None]
            raise DataError(
                f"Cannot decode {', '.join(broken)}. Expected: a whole JPEG, PNG, GIF, BMP "
                "(uncompressed, not 16-bit) or WebP (not animated) image. `kt-tuning predict` "
                "reads whatever training reads."
            )
        return [
            Prediction(file, self._class_names[row.argmax()], float(row.max()), row)
            for file, row in zip(files, probabilities, strict=True)
        ]

    def _run(self, contents: Sequence[bytes]) -> NDArray[np.float32] | None:
        """Return the probabilities of files in memory, or None if one cannot be decoded."""
        import tensorflow as tf

        try:
            return self.answer_files(tf.constant(contents))["probabilities"].numpy()
        except tf.errors.InvalidArgumentError:
            return None


def load_served(path: str | Path) -> Served:
    """Load an exported model for prediction.

    Args:
        path: The folder that `export_saved_model` wrote.

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
    class_names = (path / LABELS_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if any(output.shape[1] != len(class_names) for output in outputs):
        raise ExportError(
            f"{path / LABELS_FILE} should name {outputs[0].shape[1]} classes, one a line. "
            f"Received: {len(class_names)}."
        )
    return Served(loaded, class_names, _bits(path))


def _bits(path: Path) -> int:
    """Return how many bits the training files with 16 bits a pixel had; 16 if nobody noted it."""
    try:
        return int(read_json(path / PROVENANCE_FILE)["data"]["pixels"]["bits"])
    except (StorageError, KeyError, TypeError, ValueError):
        return 16


def _suggestion(path: Path) -> str:
    """Name the newest version below `path`: it may be the folder of all versions."""
    folders = [file.parent for file in path.glob("*/saved_model.pb")]
    versions = [int(folder.name) for folder in folders if folder.name.isdecimal()]
    return f" Did you mean {path / str(max(versions))}?" if versions else ""


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {file}: {error.strerror}.") from error


def _batches(count: int, batch_size: int) -> list[slice]:
    if batch_size < 1:
        raise OptionError(f"The batch size should be at least 1. Received: {batch_size}.")
    return [slice(start, start + batch_size) for start in range(0, count, batch_size)]


def _join(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
