"""Batch normalisation as one operation does what Keras' steps do."""

import keras
import numpy as np
import pytest
from keras import layers

from hypermodels import ConvNet
from hypermodels.blocks import MISSING_NORMS
from kt_tuning import fuse_batch_normalization

SHAPE = (6, 5, 3)
RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, (8, *SHAPE)).astype("float32")
Y = RNG.integers(0, 2, 8)


def model_with(*normalizations, dtype="float32"):
    inputs = keras.Input(SHAPE)
    x = inputs
    for layer in normalizations:
        x = layers.ReLU(dtype=dtype)(layer(layers.Conv2D(4, 3, padding="same", dtype=dtype)(x)))
    outputs = layers.Dense(2, activation="softmax")(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def trained(*, fused, steps=4, **arguments):
    keras.utils.set_random_seed(0)
    model = model_with(
        layers.BatchNormalization(momentum=0.9, **arguments),
        layers.BatchNormalization(momentum=0.5, epsilon=1e-5, scale=False),
        layers.BatchNormalization(center=False),
    )
    if fused:
        fuse_batch_normalization(model)
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


def is_fused(layer):
    return "call" in vars(layer)


def test_training_steps_and_predictions_are_those_of_keras():
    plain, fused = trained(fused=False), trained(fused=True)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5)
    assert fused.predict_on_batch(X) == pytest.approx(plain.predict_on_batch(X), abs=1e-5)


def test_moving_statistics_are_those_of_the_batch():
    model = model_with(layers.BatchNormalization(momentum=0.0))
    fuse_batch_normalization(model)
    normalization = model.layers[2]
    features = keras.Model(model.input, model.layers[1].output)(X).numpy()
    model.train_on_batch(X, Y)
    assert normalization.moving_mean.numpy() == pytest.approx(features.mean((0, 1, 2)), abs=1e-4)
    assert normalization.moving_variance.numpy() == pytest.approx(features.var((0, 1, 2)), rel=1e-4)


def test_it_is_one_operation_for_each_of_them():
    import tensorflow as tf

    model = trained(fused=True, steps=0)
    step = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.constant(X))
    types = [operation.type for operation in step.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == 3


def test_frozen_ones_keep_their_statistics():
    model = model_with(layers.BatchNormalization())
    fuse_batch_normalization(model)
    model.layers[2].trainable = False
    before = model.layers[2].get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(X, Y)
    for one, other in zip(before, model.layers[2].get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_features_of_16_bits_stay_so():
    model = model_with(layers.BatchNormalization(dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    plain = model(X, training=False).numpy()
    fuse_batch_normalization(model)
    assert model.layers[2](X[..., :1].repeat(4, -1), training=True).dtype == "bfloat16"
    model.layers[2].set_weights([np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)])
    assert model(X, training=False).numpy() == pytest.approx(plain, abs=0.02)


def test_a_model_is_saved_as_one_of_kerass_own(tmp_path):
    model = trained(fused=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not any(map(is_fused, loaded.layers))
    assert loaded.predict_on_batch(X) == pytest.approx(model.predict_on_batch(X), abs=1e-5)


def test_models_within_models_are_fused_too():
    inner = keras.Sequential([keras.Input(SHAPE), layers.BatchNormalization()])
    model = keras.Sequential([keras.Input(SHAPE), inner, layers.Flatten()])
    fuse_batch_normalization(model)
    assert is_fused(inner.layers[0])


class Own(layers.BatchNormalization):
    pass


@pytest.mark.parametrize(
    "layer",
    [
        Own(),
        layers.BatchNormalization(axis=1),
        *([] if MISSING_NORMS else [layers.BatchNormalization(renorm=True)]),
        layers.BatchNormalization(synchronized=True),
        layers.BatchNormalization(epsilon=1e-6),
        layers.BatchNormalization(dtype="float64"),
    ],
)
def test_what_tensorflow_has_no_operation_for_is_left_alone(layer):
    model = keras.Sequential([keras.Input(SHAPE), layer])
    fuse_batch_normalization(model)
    assert not is_fused(layer)


def test_features_that_are_no_images_are_left_alone():
    layer = layers.BatchNormalization()
    fuse_batch_normalization(keras.Sequential([keras.Input((5,)), layer]))
    assert not is_fused(layer)


def test_trials_train_so(make_tuner, stripes):
    fused = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            fused.append(any(map(is_fused, self.model.layers)))

    hypermodel = ConvNet(stripes.input_shape, stripes.classes, stages=1, filters=4, norm="batch")
    tuner = make_tuner(hypermodel, max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False, callbacks=[Look()])
    assert fused == [True]
    assert not any(map(is_fused, tuner.best_model().layers))
