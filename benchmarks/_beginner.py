"""A beginner's network and KerasTuner searches around it, with which kt-tuning is compared.

The network is that of Keras' example "Simple MNIST convnet" (keras.io/examples/vision): two
convolutions of 32 and 64 filters, each with max-pooling, then dropout and a dense layer; Adam and
batches of 128. It has 34,826 parameters for 28×28×1 pixels and 10 classes. `build` asks for each of
its settings with the example's value as the default.

Trainings and searches here end at a given time, keep the weights of the best epoch on the
validation images, and never see the test images.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

BATCH_SIZE = 128
EPOCHS, PATIENCE = 30, 5
"""Epochs of a trial, at most, and epochs without improvement after which it stops."""
ENDLESS = 10_000
"""Trials and epochs: time ends every search."""
STRATEGIES = ("RandomSearch", "BayesianOptimization", "Hyperband")
"""Of KerasTuner."""
ALONE = "beginner's network"
NAMES = (ALONE, *(f"{ALONE}, {strategy}" for strategy in STRATEGIES))
"""Rows of a table: the network alone, and a search of each strategy around it."""


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Images, uint8 (N, height, width, channels), and labels (N,) from 0, of each split."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, data: Any) -> Arrays:
        """Return the arrays of a `kt_tuning.ImageData`."""
        parts = (data.train, data.validation, data.test)
        return cls(*((part.take(np.arange(len(part))), part.labels) for part in parts))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.train[0].shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.train[1].max()) + 1


@dataclasses.dataclass(frozen=True)
class Found:
    """A model, and how it was chosen.

    Attributes:
        model: With the weights of its best epoch.
        validation: Its accuracy on the validation images.
        trials: Number of trials behind it.
    """

    model: keras.Model
    validation: float
    trials: int

    def test(self, arrays: Arrays) -> float:
        """Return the accuracy on the test images."""
        images, labels = arrays.test
        answers = self.model.predict(images, batch_size=256, verbose=0).argmax(axis=1)
        return float(np.mean(answers == labels))


class TimeIsUpError(keras_tuner.errors.FatalError):
    """Ends a search of KerasTuner, which knows no time limit."""


class Deadline(keras.callbacks.Callback):
    """Ends a training at a time, after a last validation; later ones do not start.

    Args:
        until: Value of `time.time()`.
    """

    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def on_train_begin(self, logs=None):
        if time.time() >= self._until:
            raise TimeIsUpError

    def on_train_batch_end(self, batch, logs=None):
        if time.time() >= self._until:
            self.model.stop_training = True


def build(
    hp: keras_tuner.HyperParameters, shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Return a network of the space; the beginner's one by default."""
    layers = keras.layers
    inputs = keras.Input(shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    kernel = hp.Choice("kernel_size", [3, 5], default=3)
    for stage in range(hp.Int("stages", 2, 4, default=2)):
        filters = hp.Choice(f"filters_{stage}", [16, 32, 64, 128], default=32 if not stage else 64)
        # The example's maps are large enough for both; those of 8×8 pixels are not.
        padding = "valid" if min(x.shape[1:3]) >= kernel else "same"
        x = layers.Conv2D(filters, kernel, padding=padding, activation="relu")(x)
        if min(x.shape[1:3]) > 1:
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    if units := hp.Choice("dense_units", [0, 64, 128, 256], default=0):
        x = layers.Dense(units, activation="relu")(x)
    x = layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.5))(x)
    model = keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def train(
    arrays: Arrays,
    until: float,
    seed: int,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Found:
    """Train the beginner's network until `time.time()` is `until`."""
    keras.utils.set_random_seed(seed)
    model = build(keras_tuner.HyperParameters(), arrays.shape, arrays.classes)
    path = directory / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(
        path, "val_accuracy", mode="max", save_best_only=True, save_weights_only=True
    )
    history = model.fit(
        *arrays.train,
        validation_data=arrays.validation,
        batch_size=BATCH_SIZE,
        epochs=ENDLESS,
        callbacks=[best, Deadline(until), *callbacks],
        verbose=0,
    )
    model.load_weights(path)
    return Found(model, max(history.history["val_accuracy"]), 1)


def search(
    strategy: str,
    arrays: Arrays,
    until: float,
    seed: int,
    directory: Path,
    *,
    epochs: int = EPOCHS,
    hypermodel: Any = None,
    batch_size: int = BATCH_SIZE,
    patience: int | None = PATIENCE,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Found:
    """Search with KerasTuner until `time.time()` is `until`, as its guides say.

    Trials stop early; the best one is that of the best validation accuracy of an epoch, and its
    model has the weights of that epoch (`Tuner.get_best_models`). A trial that the time cuts counts
    with its epochs until then.

    Args:
        strategy: One of `STRATEGIES`.
        arrays: The images.
        until: The time.
        seed: Seed of the search and of the first weights.
        directory: Where KerasTuner writes.
        epochs: Of a trial, at most.
        hypermodel: What is searched; None for the space around the beginner's network.
        batch_size: Images per step.
        patience: Epochs without improvement after which a trial stops; None trains all epochs.
        callbacks: Further ones of each training.
    """
    keras.utils.set_random_seed(seed)
    space = hypermodel or functools.partial(build, shape=arrays.shape, classes=arrays.classes)
    limit: dict[str, int] = {"max_trials": ENDLESS}
    if strategy == "Hyperband":
        limit = {"max_epochs": epochs, "hyperband_iterations": ENDLESS}
    tuner = getattr(keras_tuner, strategy)(
        space, objective="val_accuracy", seed=seed, directory=directory, **limit
    )
    stopping: list[keras.callbacks.Callback] = []
    if patience is not None:
        stopping = [keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=patience)]
    with contextlib.suppress(TimeIsUpError):
        tuner.search(
            *arrays.train,
            validation_data=arrays.validation,
            epochs=epochs,
            batch_size=batch_size,
            callbacks=[*stopping, Deadline(until), *callbacks],
            verbose=0,
        )
    score = tuner.oracle.get_best_trials(1)[0].score
    return Found(tuner.get_best_models(1)[0], score, len(tuner.oracle.start_order))


def run(
    name: str,
    arrays: Arrays,
    until: float,
    seed: int,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Found:
    """Train the network alone, or search around it, until `time.time()` is `until`.

    Args:
        name: One of `NAMES`.
        arrays: The images.
        until: The time.
        seed: Seed of everything random.
        directory: An empty folder.
        callbacks: Further ones of each training.
    """
    if name == ALONE:
        return train(arrays, until, seed, directory, callbacks)
    strategy = name.removeprefix(f"{ALONE}, ")
    return search(strategy, arrays, until, seed, directory, callbacks=callbacks)


def measure(names: Sequence[str], data: Any, seconds: float, seed: int) -> list[dict[str, Any]]:
    """Give each of some rows so many seconds in this process, and test what it finds.

    Args:
        names: Of `NAMES`.
        data: A `kt_tuning.ImageData`.
        seconds: Time of each, without the test.
        seed: Seed of everything random.
    """
    arrays, rows = Arrays.of(data), []
    for name in names:
        keras.backend.clear_session()
        with tempfile.TemporaryDirectory() as directory:
            found = run(name, arrays, time.time() + seconds, seed, Path(directory))
            rows.append(
                {
                    "name": name,
                    "seed": seed,
                    "test_accuracy": round(found.test(arrays), 4),
                    "val_accuracy": round(float(found.validation), 4),
                    "trials": found.trials,
                    "parameters": found.model.count_params(),
                    "seconds": round(seconds, 1),
                }
            )
    return rows


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--beginner`, the rows of a beginner's network."""
    parser.add_argument(
        "--beginner",
        nargs="*",
        choices=NAMES,
        default=[ALONE, f"{ALONE}, Hyperband"],
        help="rows of a beginner's network, each with the time of ours; none if empty",
    )
