"""ONNX, for ONNX Runtime and many others, and OpenVINO, for Intel's processors."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.quiet import ignored_warnings, quiet_logger
from kt_tuning.export.export_source import Predict, Source, graph_of
from kt_tuning.export.layer_overrides import matmul_resizing

ONNX_FILE = "model.onnx"
OPENVINO_FILE = "model.xml"


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
