"""What was trained in mixed precision is exported where nothing but float32 is known."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from export_models import PIXELS, make_card, make_model, random_images

from kt_tuning.core.errors import ExportError
from kt_tuning.ensembling import Ensemble
from kt_tuning.export import export_model
from kt_tuning.export.precision import half_precision, in_float32


@pytest.fixture
def mixed() -> keras.Model:
    """An ensemble of two members, whose layers compute in 16 bits."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        members = [make_model(), make_model()]
    finally:
        keras.config.set_dtype_policy("float32")
    return Ensemble(members, [0.5, 0.5]).to_keras()


def test_precision_is_found_in_members(mixed: keras.Model) -> None:
    assert half_precision(mixed) == "mixed_bfloat16"
    assert half_precision(make_model()) is None


def test_in_float32_it_is_the_same_model(mixed: keras.Model) -> None:
    images = random_images(40)
    found = in_float32(mixed)
    assert half_precision(found) is None
    np.testing.assert_allclose(
        found.predict_on_batch(images), mixed.predict_on_batch(images), atol=0.02
    )
    exact = Ensemble([make_model(), make_model()], [0.5, 0.5]).to_keras()
    exact.set_weights(mixed.get_weights())
    np.testing.assert_array_equal(found.predict_on_batch(images), exact.predict_on_batch(images))
    # The one that was trained is left as it was.
    assert half_precision(mixed) == "mixed_bfloat16"


def test_casts_become_casts_to_float32() -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.ops.cast(keras.layers.Dense(2)(inputs), "bfloat16"))
    assert in_float32(model).output.dtype == "float32"


def test_formats_of_float32_take_it(mixed: keras.Model, tmp_path) -> None:
    exported = export_model(
        mixed,
        tmp_path / "1",
        format="litert",
        card=make_card(),
        parity_images=random_images(40),
    )
    assert exported.parity.difference < 1e-5
    trained_in = json.loads((tmp_path / "1" / "provenance.json").read_text())["trained_in"]
    assert trained_in["precision"] == "mixed_bfloat16"
    assert 1e-5 < trained_in["difference"] < 0.05


def test_layers_that_cannot_be_built_anew_are_refused_before_anything_is_written(tmp_path) -> None:
    class Own(keras.layers.Layer):
        def __init__(self, needed: object, **options: object) -> None:
            super().__init__(**options)

        def call(self, inputs: object) -> object:
            return inputs

    inputs = keras.Input(PIXELS.shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(3, activation="softmax")(Own(object(), dtype="mixed_bfloat16")(x))
    with pytest.raises(ExportError, match=r"mixed_bfloat16.*get_config.*Or export saved_model\."):
        export_model(keras.Model(inputs, x), tmp_path / "1", format="litert", card=make_card())
    assert not (tmp_path / "1").exists()
