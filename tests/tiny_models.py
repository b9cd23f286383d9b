"""A hypermodel that trains in a moment."""

import keras
import keras_tuner


def tiny(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A linear model on 8×8×1 pixels with two classes."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(hp.Int("units", 2, 9, default=4), activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    rate = hp.Choice("rate", [0.003, 0.01, 0.03])
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model
