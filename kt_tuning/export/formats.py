"""The table of export formats: one row for each, with its writer and reader.

LiteRT, once called TensorFlow Lite, is for phones, browsers and microcontrollers, ONNX for ONNX
Runtime and many others, OpenVINO for Intel's processors.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import require_extra
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import ignored_warnings, quiet_logger
from kt_tuning.export.export_source import Predict, Source, graph_of
from kt_tuning.export.layer_overrides import matmul_resizing, unroll_rnn
from kt_tuning.export.measurement import FLOAT32, Tolerance
from kt_tuning.export.saved_model import check_files, load_saved_model, write_saved_model

if TYPE_CHECKING:
    import keras

KERAS_FILE, LITERT_FILE = "model.keras", "model.tflite"
ONNX_FILE, OPENVINO_FILE = "model.onnx", "model.xml"
_WEIGHTED = {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
"""Operations that take nearly all of the time and have nearly all weights."""

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


def write_onnx(source: Source, folder: Path) -> None:
    """Write `model.onnx`: one input, `pixels` or as the model calls it, of any batch size."""
    _register_erfc()
    # Keras makes tf2onnx work with NumPy 2, and NumPy warns about how.
    numpy_warning = ignored_warnings(FutureWarning, "In the future `np.object`")
    quiet = quiet_logger("tf2onnx", logging.ERROR)
    with numpy_warning, quiet, matmul_resizing(source.model):
        source.model.export(str(folder / ONNX_FILE), format="onnx", verbose=False)


def read_onnx(folder: Path) -> Predict:
    """Load `model.onnx` into ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(folder / ONNX_FILE), providers=["CPUExecutionProvider"]
    )
    (pixels,) = session.get_inputs()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return session.run(None, {pixels.name: images})[0]

    return predict


def write_openvino(source: Source, folder: Path) -> None:
    """Write `model.xml`, the graph, and `model.bin`, the weights.

    Keras itself writes them since 3.11 only.
    """
    (pixels,) = source.model.inputs
    graph = graph_of(source.model, pixels.shape[1:])
    # Outside of CI, OpenVINO's converter reports over the network.
    with mock.patch.dict(os.environ, CI="true"):
        import openvino

        converted = openvino.convert_model(graph.get_concrete_function())
    (first,) = converted.inputs
    first.get_node().set_friendly_name(pixels.name)
    first.tensor.set_names({pixels.name})
    openvino.serialize(converted, str(folder / OPENVINO_FILE))


def read_openvino(folder: Path) -> Predict:
    """Compile the model for this processor."""
    import openvino

    core = openvino.Core()
    # A file that is mapped into memory could not be moved on Windows.
    core.set_property({"ENABLE_MMAP": False})
    # By default it computes in bfloat16 where the processor can, with errors of 0.01.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(folder / OPENVINO_FILE, "CPU", exact)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A copy: the next call writes into the same memory.
        return np.array(compiled(images)[0])

    return predict


def _register_erfc() -> None:
    """Have tf2onnx write 1 - erf(x) for TensorFlow's erfc(x), which an exact GELU consists of.

    tf2onnx 1.17 does not know it, and writes a graph without a message that no runtime loads.
    """
    import tf2onnx.constants
    import tf2onnx.handler

    def convert(graph: Any, node: Any, **options: Any) -> None:
        name, outputs = node.name, node.output
        shapes, types = node.output_shapes, node.output_dtypes
        (x,) = node.input
        one = graph.make_const(f"{name}_one", np.array(1, np.float32)).output[0]
        graph.remove_node(name)
        error = graph.make_node("Erf", [x], shapes=shapes, dtypes=types).output[0]
        graph.make_node(
            "Sub", [one, error], name=name, outputs=outputs, shapes=shapes, dtypes=types
        )

    known_since = 9
    tf2onnx.handler.tf_op.register_handler(
        convert, known_since, ["Erfc"], tf2onnx.constants.ONNX_DOMAIN, {}
    )


FORMATS = {
    row.name: row
    for row in (
        Format(
            "saved_model",
            write_saved_model,
            load_saved_model,
            keeps_precision=True,
            check=check_files,
        ),
        Format("keras", write_keras, read_keras, keeps_precision=True),
        Format("litert", write_litert, read_litert),
        Format("litert_float16", write_float16, read_litert, FLOAT16),
        Format("litert_int8", write_int8, read_litert, INT8, needs_examples=True),
        Format(
            "onnx", write_onnx, read_onnx, extra="onnx", packages=("tf2onnx", "onnx", "onnxruntime")
        ),
        Format("openvino", write_openvino, read_openvino, extra="openvino", packages=("openvino",)),
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
