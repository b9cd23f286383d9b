"""Tiny Keras models, to be combined."""

import keras
import numpy as np
import pytest

from kt_tuning.core.records import DataCard, PixelFormat

WEIGHTS = [0.2, 0.5, 0.3]
SHAPE = (6, 6, 3)
CLASSES = 4
CARD = DataCard("f00d", ("a", "b", "c", "d"), PixelFormat(*SHAPE), {"train": [1, 1, 1, 1]})

# Keras 3.15 under NumPy 2: its save calls np.array on a TensorFlow tensor.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def build(seed, *, sequential=False, input_dtype="uint8", shape=SHAPE, classes=CLASSES):
    """A small model with batch normalisation; all are called alike, as trials of a search are."""
    keras.utils.set_random_seed(seed)
    stack = [
        keras.layers.Rescaling(1 / 255, name="rescaling"),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.BatchNormalization(name="normalization"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(classes, activation="softmax", name="probabilities"),
    ]
    inputs = keras.Input(shape, dtype=input_dtype, name="pixels")
    if sequential:
        return keras.Sequential([inputs, *stack], name="net")
    outputs = inputs
    for layer in stack:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name="net")


def average(models, weights, images):
    predictions = [model.predict(images, verbose=0).astype(np.float64) for model in models]
    return np.tensordot(weights, predictions, axes=1)
