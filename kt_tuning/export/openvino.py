"""OpenVINO, for Intel's processors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.export.source import Predict, Source

OPENVINO_FILE = "model.xml"


def write_openvino(source: Source, folder: Path) -> None:
    """Write `model.xml`, the graph, and `model.bin`, the weights."""
    with _telling_nobody():
        source.model.export(str(folder / OPENVINO_FILE), format="openvino", verbose=False)


def read_openvino(folder: Path) -> Predict:
    """Compile the model for this processor."""
    import openvino

    core = openvino.Core()
    # A file that is mapped into memory could not be moved on Windows.
    core.set_property({"ENABLE_MMAP": False})
    # Left alone, it computes in bfloat16 where the processor can, 0.01 off in a probability.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(folder / OPENVINO_FILE, "CPU", exact)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A copy: the next call writes into the same memory.
        return np.array(compiled(images)[0])

    return predict


@contextlib.contextmanager
def _telling_nobody() -> Iterator[None]:
    """Keep OpenVINO's converter from reporting over the network, as it does outside of CI."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before
