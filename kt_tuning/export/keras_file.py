"""Keras's own file, for whoever goes on training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.export.source import Predict, Source, graph_of

KERAS_FILE = "model.keras"


def write_keras(source: Source, folder: Path) -> None:
    """Write `model.keras`."""
    source.model.save(folder / KERAS_FILE)


def read_keras(folder: Path) -> Predict:
    """Load `model.keras`; layers of one's own must be registered with Keras before."""
    import keras

    model = keras.models.load_model(folder / KERAS_FILE, compile=False)
    call = graph_of(model, model.input_shape[1:])

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(call(images), dtype=np.float32)

    return predict
