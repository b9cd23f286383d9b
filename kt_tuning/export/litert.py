"""LiteRT, once called TensorFlow Lite: phones, browsers, microcontrollers."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.quiet import ignored_warnings, quiet_logger
from kt_tuning.export.int8 import quantize
from kt_tuning.export.recurrence import unrolled
from kt_tuning.export.shrinking import plain_shrinking
from kt_tuning.export.source import Predict, Source

LITERT_FILE = "model.tflite"


def write_litert(source: Source, folder: Path) -> None:
    """Write `model.tflite` with float32 weights."""
    _export(source, folder)


def write_float16(source: Source, folder: Path) -> None:
    """Write `model.tflite` with float16 weights, half the size; it computes in float32."""
    import tensorflow as tf

    _export(
        source,
        folder,
        optimizations=[tf.lite.Optimize.DEFAULT],
        target_spec={"supported_types": [tf.float16]},
    )


def write_int8(source: Source, folder: Path) -> None:
    """Write `model.tflite` with int8 weights and activations, a quarter of the size.

    Pixels go in as uint8 and probabilities come out as float32, as in all formats.
    """
    import tensorflow as tf

    assert source.examples is not None
    with (
        tempfile.TemporaryDirectory() as saved,
        quiet_logger("tensorflow"),
        _interpreter_notice_ignored(),
    ):
        plain_shrinking(unrolled(source.model)).export(
            saved, format="tf_saved_model", verbose=False
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved, signature_keys=["serving_default"]
        )
        (folder / LITERT_FILE).write_bytes(quantize(converter, source.examples))


def _export(source: Source, folder: Path, **options: Any) -> None:
    path = str(folder / LITERT_FILE)
    with quiet_logger("tensorflow"):
        plain_shrinking(unrolled(source.model)).export(
            path, format="litert", verbose=False, **options
        )


def _interpreter_notice_ignored() -> contextlib.AbstractContextManager[None]:
    """Ignore that the interpreter is to move out of TensorFlow; its text begins with a newline."""
    return ignored_warnings(UserWarning, r"\s*Warning: tf\.lite\.Interpreter")


def read_litert(folder: Path) -> Predict:
    """Load `model.tflite` into the interpreter that comes with TensorFlow."""
    import tensorflow as tf

    with _interpreter_notice_ignored():
        # Its bytes: a file that is mapped into memory could not be moved on Windows.
        content = (folder / LITERT_FILE).read_bytes()
        interpreter = tf.lite.Interpreter(model_content=content)
    (pixels,) = interpreter.get_input_details()
    (probabilities,) = interpreter.get_output_details()
    shape: tuple[int, ...] = ()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal shape
        if images.shape != shape:
            shape = images.shape
            interpreter.resize_tensor_input(pixels["index"], shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(pixels["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(probabilities["index"])

    return predict
