"""Sizes of the batches that are predicted at a time, and their division."""

import keras
import pytest
from keras import layers

from hypermodels.prediction_batches import equal_batches, prediction_batch_size


@pytest.mark.parametrize(
    ("shape", "size"),
    [((8, 8, 1), 256), ((32, 32, 3), 256), ((64, 64, 3), 64), ((224, 224, 3), 16)],
)
def test_large_images_are_predicted_in_small_batches(shape, size):
    assert prediction_batch_size(None, shape) == size


@pytest.mark.parametrize(
    ("inner", "size"), [((48, 48, 3), 113), ((96, 96, 3), 28), ((None, None, 3), 16)]
)
def test_a_network_inside_that_takes_larger_images_counts(inner, size):
    images = keras.Input((32, 32, 3))
    network = keras.Sequential([keras.Input(inner), layers.GlobalAveragePooling2D()])
    model = keras.Model(images, network(layers.Resizing(*(inner[0] or 96,) * 2)(images)))
    assert prediction_batch_size(model, (32, 32, 3)) == size


@pytest.mark.parametrize(
    ("count", "most", "batches"),
    [
        (5, 8, [[0, 1, 2, 3, 4]]),
        (5, 4, [[0, 1, 2], [3, 4, 4]]),
        (1, 8, [[0]]),
        # Full ones, where few images are predicted at a time.
        (3, 16, [[0, 1, *[2] * 14]]),
        (18, 16, [list(range(16)), [16, *[17] * 15]]),
    ],
)
def test_all_batches_have_one_size(count, most, batches):
    assert [places.tolist() for places in equal_batches(count, most)] == batches
