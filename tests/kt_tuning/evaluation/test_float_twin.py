"""Twins of Keras models that take floats."""

import keras
import numpy as np
import pytest
from keras import layers

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation.float_twin import as_keras, float_twin


def functional(name="member"):
    pixels = keras.Input((6, 6, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = layers.Add()([x, layers.Conv2D(4, 1)(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, layers.Dense(3, activation="softmax")(x), name=name)


def sequential():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def with_operations():
    pixels = keras.Input((6, 6, 3), dtype="uint8")
    x = keras.ops.cast(pixels, "float32") / 255.0
    x = keras.ops.relu(layers.Conv2D(4, 3, name="conv")(x))
    return keras.Model(pixels, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def nested():
    """Two members that are built alike, as in an ensemble."""
    pixels = keras.Input((6, 6, 3), dtype="uint8")
    members = [functional("member_0"), functional("member_1")]
    halves = [layers.Rescaling(0.5)(member(pixels)) for member in members]
    return keras.Model(pixels, layers.Add()(halves))


def compiled():
    model = functional()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


BUILDERS = [functional, sequential, with_operations, nested, compiled]
IMAGES = np.random.default_rng(0).integers(256, size=(4, 6, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_the_twin_answers_alike_and_has_a_gradient(build):
    import tensorflow as tf

    model = build()
    twin = float_twin(model)
    expected = np.asarray(model(IMAGES))
    pixels = tf.constant(IMAGES, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        got = twin(pixels)
        first = tf.reduce_sum(got[:, 0])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert np.abs(tape.gradient(first, pixels)).max() > 0
    # The model is as it was.
    np.testing.assert_array_equal(model(IMAGES), expected)
    assert model.inputs[0].dtype == "uint8"


def test_weights_are_shared():
    model = functional()
    twin = float_twin(model)
    model.get_layer("conv").kernel.assign(np.zeros((3, 3, 3, 4)))
    np.testing.assert_allclose(twin(IMAGES.astype("float32")), np.asarray(model(IMAGES)), atol=1e-6)


def named(wanted):
    return lambda model: next((one for one in model.operations if one.name == wanted), None)


def test_an_output_on_the_way():
    model = functional()
    _, shown = float_twin(model, named("conv"))(IMAGES.astype("float32"))
    up_to = keras.Model(model.input, model.get_layer("conv").output)
    np.testing.assert_allclose(shown, np.asarray(up_to(IMAGES)), atol=1e-6)


def test_outputs_of_nested_models():
    outputs = float_twin(nested(), named("conv"))(IMAGES.astype("float32"))
    assert [tuple(output.shape) for output in outputs] == [(4, 3), (4, 4, 4, 4), (4, 4, 4, 4)]


def test_a_nested_model_can_be_selected_itself():
    outputs = float_twin(nested(), named("member_1"))(IMAGES.astype("float32"))
    assert [tuple(output.shape) for output in outputs] == [(4, 3), (4, 3)]


def test_nothing_selected():
    assert float_twin(nested(), named("nowhere"))(IMAGES.astype("float32")).shape == (4, 3)


def test_a_member_that_has_nothing_to_show():
    pixels = keras.Input((6, 6, 3), dtype="uint8")
    plain = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, activation="softmax")]
    members = [functional(), keras.Sequential([keras.Input((6, 6, 3), dtype="uint8"), *plain])]
    model = keras.Model(pixels, layers.Average()([member(pixels) for member in members]))
    answer, shown = float_twin(model, named("conv"))(IMAGES.astype("float32"))
    np.testing.assert_allclose(answer, np.asarray(model(IMAGES)), atol=1e-6)
    assert shown.shape == (4, 4, 4, 4)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def two_inputs():
    first, second = keras.Input((3,)), keras.Input((3,))
    return keras.Model([first, second], layers.Add()([first, second]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed(name="mine"), "'mine', a Subclassed"),
        (two_inputs(), "a Functional"),
        ("model.keras", "Received: str"),
    ],
)
def test_models_that_cannot_be_looked_into(model, message):
    with pytest.raises(OptionError, match=message):
        as_keras(model)


def test_an_ensemble_is_taken_as_its_model():
    class Ensemble:
        def to_keras(self):
            return model

    model = functional()
    assert as_keras(Ensemble()) is model
