"""Batch normalisations become a part of convolutions."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels.folding import fold_batch_normalization

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)


def trained(model):
    """The model with statistics and weights that are not those of a new one."""
    rng = np.random.default_rng(1)
    for weights in model.weights:
        weights.assign(rng.uniform(0.5, 1.5, weights.shape) * rng.choice([1, -1], weights.shape))
        if "variance" in weights.path:
            weights.assign(keras.ops.abs(weights))
    return model


def network(*body):
    return trained(keras.Sequential([keras.Input((8, 8, 3)), *body]))


def normalizations(model):
    return sum(type(layer).__name__ == "BatchNormalization" for layer in model._flatten_layers())


@pytest.mark.parametrize(
    "body",
    [
        [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()],
        [layers.Conv2D(6, 3, groups=3), layers.BatchNormalization(scale=False)],
        [layers.DepthwiseConv2D(3, depth_multiplier=2), layers.BatchNormalization(center=False)],
    ],
    ids=["plain", "groups", "depthwise"],
)
def test_outputs_stay_and_normalizations_go(body):
    model = network(*body, layers.ReLU())
    expected = model.predict_on_batch(IMAGES)
    folded = fold_batch_normalization(model)
    assert (normalizations(model), normalizations(folded)) == (1, 0)
    assert folded.predict_on_batch(IMAGES) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("precision", ["float64", "mixed_bfloat16"])
def test_other_precisions_are_folded_too(precision):
    policy = keras.DTypePolicy(precision)
    model = network(
        layers.Conv2D(4, 3, dtype=policy), layers.BatchNormalization(dtype=policy), layers.ReLU()
    )
    expected = np.asarray(model.predict_on_batch(IMAGES), np.float64)
    folded = fold_batch_normalization(model)
    assert normalizations(folded) == 0
    # Bfloat16 has 8 bits of mantissa.
    error = {"float64": 1e-12, "mixed_bfloat16": 0.05}[precision]
    found = np.asarray(folded.predict_on_batch(IMAGES), np.float64)
    assert np.abs(found - expected).max() <= error * np.abs(expected).max()


def test_a_model_for_images_of_any_size_is_folded_for_those_of_one():
    model = trained(
        keras.Sequential(
            [
                keras.Input((None, None, 3)),
                layers.Conv2D(4, 3, 2, padding="same"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
            ]
        )
    )
    folded = fold_batch_normalization(model, keras.Input((8, 8, 3)))
    assert (folded.input_shape, normalizations(folded)) == ((None, 8, 8, 3), 0)
    expected = model.predict_on_batch(IMAGES)
    assert folded.predict_on_batch(IMAGES) == pytest.approx(expected, abs=1e-4)


def test_nested_models_that_are_called_twice_are_folded_once():
    inner = network(layers.Conv2D(4, 3), layers.BatchNormalization())
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Add()([inner(inputs), inner(keras.ops.flip(inputs, 2))]))
    folded = fold_batch_normalization(model)
    assert normalizations(folded) == 0
    assert len(folded.weights) == 2
    expected = model.predict_on_batch(IMAGES)
    assert folded.predict_on_batch(IMAGES) == pytest.approx(expected, abs=1e-4)


def used_twice():
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3)(inputs)
    return trained(keras.Model(inputs, layers.Add()([maps, layers.BatchNormalization()(maps)])))


@pytest.mark.parametrize(
    "model",
    [
        used_twice(),
        network(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
        network(layers.Conv2D(6, 3), layers.BatchNormalization(axis=1)),
        network(layers.BatchNormalization(), layers.Conv2D(4, 3)),
    ],
    ids=["used twice", "activation between", "rows", "before"],
)
def test_what_cannot_be_folded_stays_the_model_itself(model):
    assert fold_batch_normalization(model) is model
