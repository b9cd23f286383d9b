from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from export_models import make_card, make_model
from numpy.typing import NDArray

from kt_tuning.core.records import PixelFormat
from kt_tuning.export import LoadedModel, export_model, load_saved_model
from kt_tuning.export.decode import decode_batch


@pytest.fixture(scope="session")
def model() -> keras.Model:
    return make_model()


@pytest.fixture(scope="session")
def exported(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "1"
    provenance = {"hyperparameters": {"filters": 4}}
    return export_model(model, path, card=make_card(), provenance=provenance).path


@pytest.fixture(scope="session")
def loaded(exported: Path) -> LoadedModel:
    return load_saved_model(exported)


@pytest.fixture(scope="session")
def decoder() -> Callable[[bytes, PixelFormat], NDArray[np.uint8]]:
    """`decode_batch` of one file, traced once a pixel format; ValueError if it is refused."""
    graphs = {}

    def decode(content: bytes, pixels: PixelFormat) -> NDArray[np.uint8]:
        if pixels not in graphs:
            graphs[pixels] = tf.function(
                lambda encoded: decode_batch(encoded, pixels),
                input_signature=[tf.TensorSpec((None,), tf.string)],
                autograph=False,
            )
        (image,), (reason,) = graphs[pixels](tf.constant([content]))
        if reason != b"":
            raise ValueError(reason.numpy().decode())
        return image.numpy()

    return decode
