import itertools

import keras
import numpy as np
import pytest
from pointwise import strided_pointwise

from hypermodels.blocks import (
    classifier,
    convolution,
    convolutional_stem,
    drop_rates,
    initializer,
    pool,
    residual_add,
    shortcut,
    squeeze_excite,
    stochastic_depth,
    subsample,
)
from hypermodels.blocks.stem_and_head import prime_factors

MAPS = np.random.default_rng(0).normal(size=(3, 6, 6, 8)).astype(np.float32)


def model_of(block, *arguments, **options):
    inputs = keras.Input(MAPS.shape[1:])
    return keras.Model(inputs, block(inputs, *arguments, **options))


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 9 * 8 * 12 + 12),
        ({"use_bias": False}, 9 * 8 * 12),
        ({"separable": True}, 9 * 8 + 8 * 12 + 12),
        ({"groups": 4}, 9 * 2 * 12 + 12),
        # Six groups do not divide eight channels, two do.
        ({"groups": 6}, 9 * 4 * 12 + 12),
    ],
)
def test_a_convolution_has_the_parameters_of_its_kind(options, parameters):
    assert model_of(convolution, 12, 3, **options).count_params() == parameters


def test_groups_are_convolved_apart():
    model = model_of(convolution, 4, 3, groups=2)
    changed = MAPS.copy()
    changed[..., 4:] += 1
    before, after = np.array(model(MAPS)), np.array(model(changed))
    assert (before[..., :2] == after[..., :2]).all()
    assert (before[..., 2:] != after[..., 2:]).any()


def test_pools_shrink():
    assert model_of(pool, "max", "same", size=4).output_shape == (None, 2, 2, 8)
    assert model_of(pool, "average", "valid", size=3, strides=1).output_shape == (None, 4, 4, 8)


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("strides", [2, 3])
def test_a_pointwise_convolution_takes_every_nth_pixel(size, strides):
    maps = np.random.default_rng(1).normal(size=(2, size, size, 8)).astype(np.float32)
    inputs = keras.Input(maps.shape[1:])
    model = keras.Model(inputs, convolution(inputs, 5, 1, strides=strides))
    kernel, bias = model.get_weights()
    expected = maps[:, ::strides, ::strides] @ kernel[0, 0] + bias
    assert np.array(model(maps)) == pytest.approx(expected, abs=1e-5)


def test_every_nth_pixel_is_taken_where_channels_come_first(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    assert (subsample(MAPS, 2) == MAPS[:, :, ::2, ::2]).all()


@pytest.mark.parametrize(
    "block",
    [
        lambda x: convolution(x, 5, 1, strides=2),
        lambda x: convolution(x, 5, 1, strides=2, separable=True),
        lambda x: shortcut(x, keras.Input((3, 3, 12)), 2, norm="batch"),
    ],
)
def test_no_layer_is_a_strided_pointwise_convolution(block):
    model = model_of(block)
    assert model.output_shape[1:3] == (3, 3)
    assert strided_pointwise(model) == []


@pytest.mark.parametrize(("activation", "expected"), [("relu", "he"), ("tanh", "lecun")])
def test_the_initializer_goes_with_the_activation(activation, expected):
    assert initializer(activation) == f"{expected}_normal"


def test_a_shortcut_is_the_identity_where_shapes_agree():
    inputs = keras.Input((6, 6, 8))
    assert shortcut(inputs, inputs, 1, norm="batch") is inputs
    projected = keras.Model(inputs, shortcut(inputs, keras.Input((3, 3, 12)), 2, norm="none"))
    assert projected.output_shape == (None, 3, 3, 12)
    assert projected.count_params() == 8 * 12 + 12


def test_squeeze_excite_weighs_channels_by_their_means():
    model = model_of(squeeze_excite, 4)
    reduce, reduce_bias, expand, expand_bias = model.get_weights()
    assert reduce.shape == (8, 2)
    hidden = np.maximum(MAPS.mean(axis=(1, 2)) @ reduce + reduce_bias, 0)
    weights = 1 / (1 + np.exp(-(hidden @ expand + expand_bias)))
    assert np.array(model(MAPS)) == pytest.approx(MAPS * weights[:, None, None], abs=1e-5)


def test_stochastic_depth_drops_whole_images():
    keras.utils.set_random_seed(0)
    ones = np.ones((64, 6, 6, 8), np.float32)
    model = model_of(stochastic_depth, 0.25)
    dropped = np.array(model(ones, training=True)).reshape(64, -1)
    assert set(np.round(np.unique(dropped), 5)) == {0, np.float32(round(4 / 3, 5))}
    assert (dropped.min(axis=1) == dropped.max(axis=1)).all()
    assert 4 <= (dropped[:, 0] == 0).sum() <= 30
    assert (np.array(model(ones)) == 1).all()


def test_a_block_that_is_never_dropped_has_no_layer_for_it():
    inputs = keras.Input((6, 6, 8))
    assert stochastic_depth(inputs, 0.0) is inputs
    model = keras.Model(inputs, residual_add(inputs, inputs))
    assert np.array(model(MAPS)) == pytest.approx(2 * MAPS)


def test_later_blocks_are_dropped_more_often():
    assert drop_rates(0.4, 4) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_classifier_ends_in_logits():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, classifier(inputs, 3, dropout=0.5, dense_units=7))
    assert model.layers[-1].name == "logits"
    assert model.count_params() == 5 * 7 + 7 + 7 * 3 + 3
    assert classifier(inputs, 2).shape == (None, 2)


@pytest.mark.parametrize(
    ("number", "factors"),
    [(1, []), (2, [2]), (4, [2, 2]), (6, [2, 3]), (16, [2] * 4), (14, [2, 7])],
)
def test_prime_factors(number, factors):
    assert prime_factors(number) == factors


@pytest.mark.parametrize("shrink", [1, 2, 4, 5, 6])
def test_maps_shrink_by_the_factor_rounded_up(shrink):
    x = convolutional_stem(keras.Input((33, 20, 3)), 24, shrink)
    assert x.shape == (None, -(-33 // shrink), -(-20 // shrink), 24)


def test_channels_are_halved_towards_the_image_but_not_below_sixteen():
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, convolutional_stem(inputs, 64, 16))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [16, 16, 32, 64]
    # 3×3 kernels without bias, then 4 numbers a channel of the normalisation
    widths = [3, 16, 16, 32, 64]
    kernels = sum(9 * a * b for a, b in itertools.pairwise(widths))
    assert model.count_params() == kernels + 4 * sum(widths[1:])
