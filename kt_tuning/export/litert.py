"""LiteRT, once called TensorFlow Lite: phones, browsers, microcontrollers."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.quiet import ignored_warnings, quiet_logger
from kt_tuning.export.export_source import Predict, Source
from kt_tuning.export.layer_overrides import matmul_resizing, unroll_rnn

if TYPE_CHECKING:
    import keras

LITERT_FILE = "model.tflite"
_WEIGHTED = {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
"""Operations that take nearly all of the time and have nearly all weights."""


def write_litert(source: Source, folder: Path) -> None:
    """Write `model.tflite` with float32 weights."""
    with _converter(source.model) as converter:
        _allow_tensorflow_operations(converter)
        (folder / LITERT_FILE).write_bytes(converter.convert())


def write_float16(source: Source, folder: Path) -> None:
    """Write `model.tflite` with float16 weights, half the size; it computes in float32."""
    import tensorflow as tf

    with _converter(source.model) as converter:
        _allow_tensorflow_operations(converter)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        (folder / LITERT_FILE).write_bytes(converter.convert())


def write_int8(source: Source, folder: Path) -> None:
    """Write `model.tflite` with int8 weights and activations, a quarter of the size.

    The input is uint8 pixels and the output float32 probabilities, as in all formats.
    """
    assert source.examples is not None
    with _converter(source.model) as converter, _interpreter_notice_ignored():
        (folder / LITERT_FILE).write_bytes(_quantize(converter, source.examples))


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


@contextlib.contextmanager
def _converter(model: keras.Model) -> Iterator[Any]:
    """Yield a `tf.lite.TFLiteConverter` of a model; Keras itself writes LiteRT since 3.13 only."""
    import tensorflow as tf

    with (
        tempfile.TemporaryDirectory() as saved,
        quiet_logger("tensorflow"),
        unroll_rnn(model),
        matmul_resizing(model),
    ):
        model.export(saved, format="tf_saved_model", verbose=False)
        yield tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=["serving_default"])


def _allow_tensorflow_operations(converter: Any) -> None:
    """Keep operations that LiteRT lacks; the runtime then needs TensorFlow's own for them."""
    import tensorflow as tf

    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS, sets.SELECT_TF_OPS]


def _interpreter_notice_ignored() -> contextlib.AbstractContextManager[None]:
    """Ignore that the interpreter is to move out of TensorFlow; its text begins with a newline."""
    return ignored_warnings(UserWarning, r"\s*Warning: tf\.lite\.Interpreter")


def _quantize(converter: Any, examples: NDArray[np.uint8]) -> bytes:
    """Convert convolutions and dense layers to int8, weights and activations.

    All other operations stay in float32: sums, pooling, softmax and logarithms gain next to nothing
    and add a rounding each. So does the layer before a softmax, whose steps would be seen in the
    probabilities: it is small, and where two classes are close it decides.

    Args:
        converter: A `tf.lite.TFLiteConverter`.
        examples: uint8 (N, height, width, channels); the range of each activation is that on them.
    """
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in examples)
    # Only the debugger can tell the converter to leave operations as they are.
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: [[examples[:1]]]
    )
    # Its statistics, which are not used here, take the logarithm of 0.
    with ignored_warnings(RuntimeWarning):
        debugger.run()
    file = io.StringIO()
    debugger.layer_statistics_dump(file)
    file.seek(0)
    operations = [(row["op_name"], row["tensor_name"]) for row in csv.DictReader(file)]
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=sorted({kind for kind, _ in operations} - _WEIGHTED),
        denylisted_nodes=[
            name
            for (kind, name), (following, _) in itertools.pairwise(operations)
            if kind in _WEIGHTED and following == "SOFTMAX"
        ],
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content
