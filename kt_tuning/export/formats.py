"""The table of formats: a row is all there is to know about one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import require_extra
from kt_tuning.core.names import find_name
from kt_tuning.export import keras_file, litert, onnx, openvino, saved_model
from kt_tuning.export.parity import FLOAT32, Tolerance
from kt_tuning.export.source import Predict, Source

FLOAT16 = Tolerance(difference=0.02, agreement=0.995)
INT8 = Tolerance(difference=0.25, agreement=0.99)

Check = Callable[[Predict, Source, NDArray[np.uint8], NDArray[np.float32]], None]


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format of trained models.

    Attributes:
        name: As it is asked for.
        summary: What it is for.
        write: Writes a model into a folder.
        read: Loads it from there, into the runtime that it is meant for.
        tolerance: How far the two may be apart.
        extra: The extra of kt-tuning that brings what it needs, or None.
        packages: What the extra brings, as imported.
        needs_examples: Whether `Source.examples` are needed.
        keeps_precision: Whether it can compute in 16 bits, as a model does that was trained in
            mixed precision; otherwise it is given the model in float32.
        check: Tests more than probabilities from pixels: (what `read` returned, source, images,
            expected probabilities); or None.
    """

    name: str
    summary: str
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


FORMATS = {
    row.name: row
    for row in (
        Format(
            "saved_model",
            "TensorFlow SavedModel, for TensorFlow Serving; takes image files, too",
            saved_model.write_saved_model,
            saved_model.read_saved_model,
            keeps_precision=True,
            check=saved_model.check_files,
        ),
        Format(
            "keras",
            "Keras file, to go on training",
            keras_file.write_keras,
            keras_file.read_keras,
            keeps_precision=True,
        ),
        Format(
            "litert",
            "LiteRT (TensorFlow Lite), float32",
            litert.write_litert,
            litert.read_litert,
        ),
        Format(
            "litert_float16",
            "LiteRT with float16 weights, half the size",
            litert.write_float16,
            litert.read_litert,
            FLOAT16,
        ),
        Format(
            "litert_int8",
            "LiteRT in int8, a quarter of the size",
            litert.write_int8,
            litert.read_litert,
            INT8,
            needs_examples=True,
        ),
        Format(
            "onnx",
            "ONNX, for ONNX Runtime and many others",
            onnx.write_onnx,
            onnx.read_onnx,
            extra="onnx",
            packages=("tf2onnx", "onnx", "onnxruntime"),
        ),
        Format(
            "openvino",
            "OpenVINO, for Intel's processors",
            openvino.write_openvino,
            openvino.read_openvino,
            extra="openvino",
            packages=("openvino",),
        ),
    )
}
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
