"""The table of export formats: one row for each, with its writer and reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import require_extra
from kt_tuning.core.names import find_name
from kt_tuning.export import litert, onnx_openvino
from kt_tuning.export.export_source import Predict, Source, graph_of
from kt_tuning.export.measurement import FLOAT32, Tolerance
from kt_tuning.export.saved_model import check_files, load_saved_model, write_saved_model

KERAS_FILE = "model.keras"

FLOAT16 = Tolerance(difference=0.02, agreement=0.995)
INT8 = Tolerance(difference=0.25, agreement=0.99)

Check = Callable[[Predict, Source, NDArray[np.uint8], NDArray[np.float32]], None]


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format of trained models.

    Attributes:
        name: Name on the command line.
        write: Writes a model into a folder.
        read: Loads it from there, into the runtime that it is meant for.
        tolerance: Largest allowed difference between the two.
        extra: The extra of kt-tuning that installs what it needs, or None.
        packages: The packages of the extra, as imported.
        needs_examples: Whether `Source.examples` are needed.
        keeps_precision: Whether it can compute in 16 bits, as a model does that was trained in
            mixed precision; otherwise it is given the model in float32.
        check: Tests more than probabilities from pixels: (what `read` returned, source, images,
            expected probabilities); or None.
    """

    name: str
    write: Callable[[Source, Path], None]
    read: Callable[[Path], Predict]
    tolerance: Tolerance = FLOAT32
    extra: str | None = None
    packages: tuple[str, ...] = ()
    needs_examples: bool = False
    keeps_precision: bool = False
    check: Check | None = None

    def check_installed(self) -> None:
        """Refuse to go on without the packages of the extra.

        Raises:
            MissingExtraError: if one is missing.
        """
        if self.extra is not None:
            require_extra(f"The format {self.name!r}", self.extra, *self.packages)


def write_keras(source: Source, folder: Path) -> None:
    """Write `model.keras`, Keras's own file, for further training."""
    source.model.save(folder / KERAS_FILE)


def read_keras(folder: Path) -> Predict:
    """Load `model.keras`; custom layers must be registered with Keras before."""
    import keras

    model = keras.models.load_model(folder / KERAS_FILE, compile=False)
    call = graph_of(model, model.input_shape[1:])
    return lambda images: np.asarray(call(images), dtype=np.float32)


_ROWS = (
    Format(
        "saved_model", write_saved_model, load_saved_model, keeps_precision=True, check=check_files
    ),
    Format("keras", write_keras, read_keras, keeps_precision=True),
    Format("litert", litert.write_litert, litert.read_litert),
    Format("litert_float16", litert.write_float16, litert.read_litert, FLOAT16),
    Format("litert_int8", litert.write_int8, litert.read_litert, INT8, needs_examples=True),
    Format(
        "onnx",
        onnx_openvino.write_onnx,
        onnx_openvino.read_onnx,
        extra="onnx",
        packages=("tf2onnx", "onnx", "onnxruntime"),
    ),
    Format(
        "openvino",
        onnx_openvino.write_openvino,
        onnx_openvino.read_openvino,
        extra="openvino",
        packages=("openvino",),
    ),
)

FORMATS = {row.name: row for row in _ROWS}
"""Every format; `--format` takes the names."""

ALIASES = {
    "tflite": "litert",
    "tflite_float16": "litert_float16",
    "tflite_fp16": "litert_float16",
    "litert_fp16": "litert_float16",
    "tflite_int8": "litert_int8",
}
"""Other names of the formats; LiteRT was TensorFlow Lite."""


def format_named(name: str) -> Format:
    """Return a row of `FORMATS`.

    Raises:
        OptionError: if there is none of this name.
    """
    return FORMATS[find_name(name, FORMATS, "format", aliases=ALIASES)]
