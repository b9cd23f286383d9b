"""Rows of numbers in two classes, and models that train on them in a moment."""

import keras
import numpy as np


def small_table(rows=24, seed=0):
    """Rows of 3 numbers, larger ones in class 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    return rng.normal(size=(rows, 3)).astype(np.float32) + y[:, None], y


TRAIN, VALIDATION = small_table(16), small_table(8, seed=1)


def dense(hp):
    """A classifier of rows, whose width and rate are searched."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(hp.Int("units", 2, 8, step=2), activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    rate = hp.Choice("learning_rate", [0.1, 0.01])
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model
