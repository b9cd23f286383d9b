import itertools

import keras
import pytest

from hypermodels.blocks import convolutional_stem
from hypermodels.blocks.stem import prime_factors


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
