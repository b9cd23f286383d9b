"""ONNX, which ONNX Runtime and many others execute."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.export.quiet import quiet
from kt_tuning.export.source import Predict, Source

ONNX_FILE = "model.onnx"


def write_onnx(source: Source, folder: Path) -> None:
    """Write `model.onnx`: one input, `pixels` or as the model calls it, of any batch size."""
    with warnings.catch_warnings(), quiet("tf2onnx", logging.ERROR):
        # Keras makes tf2onnx work with NumPy 2, and NumPy warns about how.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
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
