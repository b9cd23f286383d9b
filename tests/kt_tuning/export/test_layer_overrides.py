"""Layers have other attributes while a model is exported, and their own again afterwards."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from export_models import PIXELS, make_card, make_model, random_images

from kt_tuning.ensembling import Ensemble
from kt_tuning.export import export_model, export_obstacle, load_saved_model
from kt_tuning.export.layer_overrides import (
    accepted_names,
    clean_names,
    half_precision,
    in_float32,
    matmul_resizing,
    unroll_rnn,
)

IMAGES = random_images(20)


class Doubled(keras.layers.Layer):
    """A layer that is not registered with Keras."""

    def call(self, inputs: object) -> object:
        return inputs * 2


class Forgetful(keras.layers.Layer):
    """A layer that cannot be built from its configuration."""

    def __init__(self, needed: object, **options: object) -> None:
        super().__init__(**options)

    def call(self, inputs: object) -> object:
        return inputs


def named(*own: keras.layers.Layer) -> keras.Model:
    """A model, trained with a loss of its own, in whose every corner is a bad name."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input(PIXELS.shape, dtype="uint8", name="_in")
    patch = keras.Input((*PIXELS.shape[:2], 3), name="_in")
    inner = keras.Model(patch, keras.layers.Conv2D(4, 3, name="_conv")(patch), name="inner")
    x = inner(keras.layers.Rescaling(1 / 255, name="_x")(inputs))
    x = keras.Sequential([keras.layers.Conv2D(4, 3, name="_conv")], name="-stack")(x[:, ::2])
    x = keras.layers.Dense(8, name="x")(keras.layers.Flatten()(x))
    for layer in own:
        x = layer(x)
    outputs = keras.layers.Dense(3, activation="softmax", name="fully connected")(x)
    model = keras.Model(inputs, outputs, name="_net")
    model.compile(loss=lambda truth, answer: keras.ops.mean(answer))
    return model


# Names


@pytest.mark.parametrize("name", ["conv_1", "a.b-C", "1", ".x"])
def test_names_that_tensorflow_accepts_are_kept(name: str) -> None:
    assert accepted_names([name]) == {name: name}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("_x", "x_1"),
        ("__y", "y"),
        ("-y", "y"),
        ("a b", "a_b"),
        ("größe", "gr__e"),
        ("a:0", "a_0"),
        ("a\\b", "a_b"),
        ("ü", "layer"),
        ("None", "None_"),
        ("self", "self_"),
    ],
)
def test_names_that_tensorflow_refuses_become_others(name: str, accepted: str) -> None:
    assert accepted_names(["x", name]) == {"x": "x", name: accepted}


def test_two_names_never_become_one() -> None:
    expected = {"_x": "x", "__x": "x_2", "-x": "x_3", "x_1": "x_1"}
    assert accepted_names(["_x", "__x", "-x", "x_1", "_x"]) == expected


def test_a_model_has_its_names_again_after_the_block() -> None:
    model = named()
    before = [layer.name for layer in model._flatten_layers()]
    with clean_names(model):
        inside = [layer.name for layer in model._flatten_layers()]
        assert "fully_connected" in inside
        assert accepted_names(inside) == {name: name for name in inside}
    assert [layer.name for layer in model._flatten_layers()] == before


def test_an_ensemble_of_such_models_is_served(tmp_path) -> None:
    model, other = named(Forgetful(object(), name="_forgetful")), named()
    ensemble = Ensemble([model, other], [0.75, 0.25]).to_keras()
    export_model(ensemble, tmp_path / "1", card=make_card(), check_images=IMAGES)
    found = load_saved_model(tmp_path / "1").predict(IMAGES)
    expected = 0.75 * model(IMAGES, training=False) + 0.25 * other(IMAGES, training=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Mixed precision


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
    rounded = mixed.predict_on_batch(IMAGES)
    exact = Ensemble([make_model(), make_model()], [0.5, 0.5]).to_keras()
    exact.set_weights(mixed.get_weights())
    with in_float32(mixed):
        assert half_precision(mixed) is None
        found = np.asarray(mixed(IMAGES, training=False))
    np.testing.assert_array_equal(found, np.asarray(exact(IMAGES, training=False)))
    np.testing.assert_allclose(found, rounded, atol=0.02)
    assert not np.array_equal(found, rounded)
    assert half_precision(mixed) == "mixed_bfloat16"


def test_casts_become_casts_to_float32() -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.ops.cast(keras.layers.Dense(2)(inputs), "bfloat16"))
    outer = keras.Model(inputs, model(inputs))
    with in_float32(outer):
        assert outer(np.ones((1, 2))).dtype == "float32"
    assert outer(np.ones((1, 2))).dtype == "bfloat16"


def test_formats_of_float32_take_it(tmp_path) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(PIXELS.shape, dtype="uint8", name="_in")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(8, dtype="mixed_bfloat16", name="a b")(x)
    x = Forgetful(object(), dtype="mixed_bfloat16")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    exported = export_model(
        model, tmp_path / "1", format="litert", card=make_card(), check_images=IMAGES
    )
    assert exported.check.difference < 1e-5
    trained_in = json.loads((tmp_path / "1" / "provenance.json").read_text())["trained_in"]
    assert trained_in["precision"] == "mixed_bfloat16"
    assert 1e-5 < trained_in["difference"] < 0.05


# Loops and resizing


def test_recurrent_layers_within_others_are_unrolled() -> None:
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.LSTM(6))(inputs))
    outer = keras.Sequential([keras.Input((4, 3)), model])
    x = np.random.default_rng(0).random((2, 4, 3), np.float32)
    expected = np.asarray(outer(x))
    graph = tf.function(lambda x: outer(x), autograph=False)
    with unroll_rnn(outer):
        kinds = {op.type for op in graph.get_concrete_function(x).graph.get_operations()}
        np.testing.assert_allclose(np.asarray(outer(x)), expected, atol=1e-6)
    assert not any("While" in kind for kind in kinds)
    assert not any(getattr(layer, "unroll", False) for layer in model._flatten_layers())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_by_matrix_products_is_that_of_tensorflow(interpolation: str) -> None:
    layer = keras.layers.Resizing(5, 7, interpolation=interpolation, antialias=True)
    model = keras.Sequential([keras.Input((16, 20, 3)), layer])
    images = np.random.default_rng(0).random((2, 16, 20, 3), np.float32)
    expected = np.asarray(model(images))
    with matmul_resizing(model):
        found = np.asarray(model(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.array_equal(found, expected)
    assert "call" not in vars(layer)


# What is known before a training


def plain(*own: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((2,)), *own, keras.layers.Dense(2)])


def test_layers_of_keras_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain()
    monkeypatch.delattr(keras.saving, "serialize_keras_object")
    assert export_obstacle(model) is None


@pytest.mark.parametrize(
    "layer", [keras.layers.Lambda(lambda x: x), Doubled(), Forgetful(object())], ids=type
)
def test_what_keras_would_not_load_is_an_obstacle_to_its_own_format(layer) -> None:
    obstacle = export_obstacle(plain(layer))
    assert obstacle is not None
    assert "cannot be exported in the format keras, as Keras would not load it" in obstacle
    assert "get_config" in obstacle
    assert "Full object config" not in obstacle
    assert "Other formats take it" in obstacle
