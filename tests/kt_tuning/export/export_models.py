"""Small models, cards and images for the tests of exporting."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.records import DataCard, PixelFormat

PIXELS = PixelFormat(8, 12, 3)
CLASS_NAMES = ("cat", "dog", "Süßer Igel")


def make_card(pixels: PixelFormat = PIXELS, class_names: tuple[str, ...] = CLASS_NAMES) -> DataCard:
    return DataCard("abc123", class_names, pixels, {"train": [3, 4, 5]}, source="photos")


def make_model(
    pixels: PixelFormat = PIXELS, classes: int = 3, *, last: str = "softmax"
) -> keras.Model:
    """A model whose answers depend on where the bright pixels are."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input(pixels.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(0.5)(x)
    outputs = keras.layers.Dense(classes, activation=last)(x)
    return keras.Model(inputs, outputs)


def random_images(count: int, pixels: PixelFormat = PIXELS) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, *pixels.shape), dtype=np.uint8)
