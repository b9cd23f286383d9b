import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from hypermodels import Space
from hypermodels.compiling import condition_weights


def small_model():
    """A dense, a plain, a separable and a depthwise kernel, each with two or more units."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 3, name="plain")(inputs)
    x = layers.SeparableConv2D(2, 1, name="separable")(x)
    x = layers.DepthwiseConv2D(1, name="depthwise")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten()(x)))


def condition(model, **fixed):
    condition_weights(Space(keras_tuner.HyperParameters(), fixed), model)


def kernels(model):
    return [np.array(v) for v in model.trainable_variables if "kernel" in v.name]


@pytest.mark.parametrize(
    ("kind", "penalty"),
    [
        ("l1", lambda w: 0.01 * np.abs(w).sum()),
        ("l2", lambda w: 0.01 * np.square(w).sum()),
        ("l1_l2", lambda w: 0.01 * (np.abs(w).sum() + np.square(w).sum())),
    ],
)
def test_a_regularizer_penalises_every_kernel_and_nothing_else(kind, penalty):
    model = small_model()
    condition(model, regularizer=kind, penalty=0.01)
    found = kernels(model)
    assert len(found) == 5
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(np.ones(layer.bias.shape))
    assert float(sum(model.losses)) == pytest.approx(sum(map(penalty, found)), rel=1e-5)


def test_max_norm_bounds_the_weights_that_lead_to_one_unit():
    model = small_model()
    condition(model, max_norm=2.0)
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, 3.0))
    optimizer = keras.optimizers.SGD(1.0)
    zeros = [np.zeros(v.shape, np.float32) for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    plain = np.array(model.get_layer("plain").kernel)
    assert np.sqrt(np.square(plain).sum(axis=(0, 1, 2))) == pytest.approx([2, 2, 2], rel=1e-5)
    assert plain == pytest.approx(np.full((3, 3, 2, 3), 2 / np.sqrt(18)), rel=1e-5)
    # One weight leads to each channel.
    depthwise = np.array(model.get_layer("depthwise").kernel)
    assert depthwise == pytest.approx(np.full((1, 1, 2, 1), 2.0), rel=1e-5)
    dense = np.array(model.get_layer("logits").kernel)
    assert np.sqrt(np.square(dense).sum(axis=0)) == pytest.approx([2, 2], rel=1e-5)
    assert np.array(model.get_layer("logits").bias) == pytest.approx([3, 3])


def test_regularizers_are_saved_with_the_model(tmp_path):
    model = small_model()
    condition(model, regularizer="l2", penalty=0.1, max_norm=3.0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert float(sum(again.losses)) == pytest.approx(float(sum(model.losses)))
    assert sum(v.constraint is not None for v in again.trainable_variables) == 5


@pytest.mark.parametrize(
    ("kind", "variance"),
    [
        # Glorot 2/(fan in + fan out), He 2/fan in, LeCun 1/fan in, for 200 inputs and 100 units.
        ("glorot", 2 / 300),
        ("he", 2 / 200),
        ("lecun", 1 / 200),
    ],
)
def test_an_initializer_draws_kernels_of_its_variance(kind, variance):
    model = keras.Sequential([keras.Input((200,)), layers.Dense(100)])
    condition(model, initialization=kind)
    assert kernels(model)[0].var() == pytest.approx(variance, rel=0.05)


def test_orthogonal_kernels_are_orthogonal():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
    condition(model, initialization="orthogonal")
    kernel = kernels(model)[0]
    assert kernel.T @ kernel == pytest.approx(np.eye(4), abs=1e-5)


def test_a_frozen_layer_keeps_its_kernel():
    frozen = layers.Dense(3, trainable=False)
    model = keras.Sequential([keras.Input((3,)), frozen, layers.Dense(2)])
    before = np.array(frozen.kernel)
    condition(model, initialization="orthogonal")
    assert np.array_equal(np.array(frozen.kernel), before)


def test_a_model_inside_keeps_what_it_has_learned():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3)], name="backbone")
    learned = inner.get_weights()[0]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
    fresh = np.array(model.layers[-1].kernel)
    condition(model, initialization="he")
    assert (inner.get_weights()[0] == learned).all()
    assert not np.allclose(np.array(model.layers[-1].kernel), fresh)


def test_by_default_nothing_changes():
    model = small_model()
    before = kernels(model)
    condition(model)
    assert all((a == b).all() for a, b in zip(before, kernels(model), strict=True))
    assert model.losses == []
    assert all(v.constraint is None for v in model.trainable_variables)
