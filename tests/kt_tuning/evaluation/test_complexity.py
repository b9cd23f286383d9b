"""FLOPs, against counts by hand: a multiply-add is two."""

import keras
import pytest

from kt_tuning.evaluation import count_flops


def test_a_dense_layer():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(4, use_bias=False)])
    assert count_flops(model) == 2 * 10 * 4


def test_a_convolution_and_its_bias():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3, padding="same")])
    assert count_flops(model) == 2 * 8 * 8 * 5 * 3 * 3 * 3 + 8 * 8 * 5


def test_a_separable_convolution():
    layer = keras.layers.SeparableConv2D(5, 3, padding="same", use_bias=False)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    assert count_flops(model) == 2 * 8 * 8 * (3 * 9 + 3 * 5)


def test_attention_is_counted():
    x = keras.Input((6, 8))
    attention = keras.layers.MultiHeadAttention(2, 4, use_bias=False)
    model = keras.Model(x, attention(x, x))
    # query, key, value and output projections; scores; weighted values
    products = 4 * (6 * 8 * 8) + 2 * (2 * 6 * 6 * 4)
    # softmax and scaling are small beside
    assert 2 * products <= count_flops(model) < 2 * products * 1.3


def test_other_backends_are_refused(monkeypatch):
    from kt_tuning.errors import OptionError

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="Received: KERAS_BACKEND=jax"):
        count_flops(None)
