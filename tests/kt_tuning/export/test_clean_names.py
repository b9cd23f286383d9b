"""Layers may be named as TensorFlow does not allow: in an export they are called otherwise."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from export_models import PIXELS, make_card, random_images

from kt_tuning.core.errors import ExportError
from kt_tuning.ensembling import Ensemble
from kt_tuning.export import export_model, export_obstacle, load_served
from kt_tuning.export.clean_names import clean_names, refused_names, with_clean_names

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


@pytest.mark.parametrize("name", ["conv_1", "a.b-C", "1", ".x"])
def test_names_that_tensorflow_takes_are_kept(name: str) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name=name)])
    assert refused_names(model) == []
    assert with_clean_names(model) is model


@pytest.mark.parametrize(
    ("name", "clean"),
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
def test_names_that_tensorflow_refuses_become_others(name: str, clean: str) -> None:
    assert clean_names([name], taken=["x", name]) == {name: clean}


def test_two_names_never_become_one() -> None:
    assert clean_names(["_x", "__x", "-x"], taken=["x_1"]) == {"_x": "x", "__x": "x_2", "-x": "x_3"}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return named(Doubled(name="_doubled"))


def test_weights_and_answers_stay_and_the_model_keeps_its_names(model: keras.Model) -> None:
    before = [layer.name for layer in model._flatten_layers()]
    clean = with_clean_names(model)
    assert refused_names(clean) == []
    for found, expected in zip(clean.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    answers = [np.asarray(each(IMAGES, training=False)) for each in (clean, model)]
    np.testing.assert_array_equal(*answers)
    assert [layer.name for layer in model._flatten_layers()] == before


def test_an_ensemble_of_such_models_is_served(model: keras.Model, tmp_path) -> None:
    assert export_obstacle(named()) is None
    ensemble = Ensemble([model, named()], [0.75, 0.25]).to_keras()
    export_model(ensemble, tmp_path / "1", card=make_card(), parity_images=IMAGES)
    served = load_served(tmp_path / "1").predict(IMAGES)
    expected = 0.75 * model(IMAGES, training=False) + 0.25 * named()(IMAGES, training=False)
    np.testing.assert_allclose(served, expected, atol=1e-5)


def test_a_model_that_cannot_be_renamed_is_told_before_and_refused(tmp_path) -> None:
    model = named(Forgetful(object(), name="_forgetful"))
    obstacle = export_obstacle(model)
    assert obstacle is not None
    assert "cannot be exported in any format" in obstacle
    assert "'_forgetful'" in obstacle
    with pytest.raises(ExportError, match=r"'_forgetful'.*get_config.*other names"):
        export_model(model, tmp_path / "1", card=make_card(), parity_images=IMAGES)
    assert list(tmp_path.iterdir()) == []


def plain(*own: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((2,)), *own, keras.layers.Dense(2)])


def test_layers_of_keras_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain()
    monkeypatch.delattr(keras.saving, "serialize_keras_object")
    assert export_obstacle(model) is None


def test_a_layer_without_its_configuration_is_an_obstacle_to_most_formats() -> None:
    obstacle = export_obstacle(plain(Forgetful(object())))
    assert obstacle is not None
    assert "cannot be exported in the format keras, nor in litert, onnx or openvino if" in obstacle
    assert "Or export saved_model." in obstacle


def test_what_keras_would_not_load_is_an_obstacle_to_its_own_format() -> None:
    class Local(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return inputs

    for layer in (keras.layers.Lambda(lambda x: x), Local()):
        obstacle = export_obstacle(plain(layer))
        assert obstacle is not None
        assert "cannot be exported in the format keras, as Keras would not load it" in obstacle
        assert "Other formats take it" in obstacle
