"""FLOPs, against counts by hand: a multiply-add is two."""

import keras
import pytest
from keras import layers

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation import measure_complexity
from kt_tuning.evaluation.flops import Complexity


def multiply_adds(shape, *stack):
    return measure_complexity(keras.Sequential([keras.Input(shape), *stack])).multiply_adds


def test_a_dense_layer():
    model = keras.Sequential([keras.Input((10,)), layers.Dense(4, use_bias=False)])
    assert measure_complexity(model).flops == 2 * 10 * 4


def test_a_convolution_and_its_bias():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(5, 3, padding="same")])
    cost = measure_complexity(model)
    assert cost == Complexity(8 * 8 * 5 * 3 * 3 * 3, 8 * 8 * 5)
    assert cost.flops == 2 * 8 * 8 * 5 * 3 * 3 * 3 + 8 * 8 * 5


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, strides=2, padding="same"), 4 * 4 * 5 * 9 * 4),
        (layers.Conv2D(5, 3, padding="valid"), 6 * 6 * 5 * 9 * 4),
        (layers.Conv2D(6, 3, padding="same", groups=2), 8 * 8 * 6 * 9 * 2),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * (4 * 9 + 4 * 5)),
        (layers.DepthwiseConv2D(3, padding="same"), 8 * 8 * 4 * 9),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 8 * 8 * 8 * 9),
        (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), 8 * 8 * 4 * 9 * 5),
    ],
    ids=["strided", "valid", "grouped", "separable", "depthwise", "multiplied", "transposed"],
)
def test_convolutions(layer, expected):
    assert multiply_adds((8, 8, 4), layer) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.SimpleRNN(7), 12 * 7 * (5 + 7)),
        (layers.LSTM(7), 12 * 4 * 7 * (5 + 7)),
        (layers.LSTM(7, return_sequences=True), 12 * 4 * 7 * (5 + 7)),
        (layers.LSTM(7, unroll=True), 12 * 4 * 7 * (5 + 7)),
        (layers.GRU(7), 12 * 3 * 7 * (5 + 7)),
        (layers.Bidirectional(layers.LSTM(7)), 2 * 12 * 4 * 7 * (5 + 7)),
    ],
    ids=["simple", "lstm", "sequences", "unrolled", "gru", "bidirectional"],
)
def test_a_recurrent_layer_counts_every_step(layer, expected):
    assert multiply_adds((12, 5), layer) == expected


def test_attention():
    x = keras.Input((6, 8))
    attention = layers.MultiHeadAttention(2, 4, use_bias=False)
    model = keras.Model(x, attention(x, x))
    # query, key, value and output projections; scores; weighted values
    expected = 4 * (6 * 8 * 8) + 2 * (2 * 6 * 6 * 4)
    counted = measure_complexity(model)
    assert counted.multiply_adds == expected
    # softmax and scaling are small beside
    assert 0 < counted.elementwise < 0.6 * expected


def test_a_nested_model_counts_as_if_it_were_not():
    inner = keras.Sequential([keras.Input((10,)), layers.Dense(4)])
    x = keras.Input((10,))
    assert measure_complexity(keras.Model(x, inner(x))) == measure_complexity(inner)


def test_pooling_and_activation():
    stack = [layers.ReLU(), layers.AveragePooling2D(2), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
    assert measure_complexity(model) == Complexity(0, 8 * 8 * 3 + 4 * 4 * 3 * 4 + 4 * 4 * 3)


def test_published_multiply_adds_of_mobilenet_v2():
    # Sandler et al. (2018), "MobileNetV2", table 4: 300 million.
    model = keras.applications.MobileNetV2(weights=None)
    assert measure_complexity(model).multiply_adds == pytest.approx(300e6, rel=0.01)


def test_published_multiply_adds_of_resnet_50():
    # Hu et al. (2018), "Squeeze-and-excitation networks", section 4: 3.86 thousand million, of
    # the network that He et al. (2016), table 1, give as 3.8.
    model = keras.applications.ResNet50(weights=None)
    assert measure_complexity(model).multiply_adds == pytest.approx(3.86e9, rel=0.01)


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="Received: KERAS_BACKEND=jax"):
        measure_complexity(None)
