"""ONNX, which ONNX Runtime and many others execute."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.quiet import ignored_warnings, quiet_logger
from kt_tuning.export.shrinking import plain_shrinking
from kt_tuning.export.source import Predict, Source

ONNX_FILE = "model.onnx"


def write_onnx(source: Source, folder: Path) -> None:
    """Write `model.onnx`: one input, `pixels` or as the model calls it, of any batch size."""
    _teach_complementary_error_function()
    # Keras makes tf2onnx work with NumPy 2, and NumPy warns about how.
    numpy_warning = ignored_warnings(FutureWarning, "In the future `np.object`")
    with numpy_warning, quiet_logger("tf2onnx", logging.ERROR):
        model = plain_shrinking(source.model)
        if model is not source.model:
            # Keras writes no ONNX of a model that has never been called.
            model(np.zeros((1, *source.card.pixels.shape), np.uint8))
        model.export(str(folder / ONNX_FILE), format="onnx", verbose=False)


def _teach_complementary_error_function() -> None:
    """Have tf2onnx write 1 - erf(x) for TensorFlow's erfc(x), of which an exact GELU is made.

    tf2onnx 1.17 does not know it, and writes a graph without a word that no runtime loads.
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
