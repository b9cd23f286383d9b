"""The weights of a model in a file, without the optimizer's state, which doubles or trebles it."""

from __future__ import annotations

from pathlib import Path

import keras

from kt_tuning.errors import StorageError


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model` to `path`, a `.weights.h5` file."""
    _without_optimizer(model).save_weights(path)


def load_weights(model: keras.Model, path: Path) -> None:
    """Read into `model` the weights that `save_weights` wrote of one like it.

    Raises:
        StorageError: if the file is gone or damaged.
    """
    if not path.is_file():
        raise StorageError(f"The weights of a finished training are gone: {path}. Restore it.")
    try:
        _without_optimizer(model).load_weights(path)
    except OSError as error:
        raise StorageError(f"Cannot read the weights {path}: {error}. Restore the file.") from error


def _without_optimizer(model: keras.Model) -> keras.Model:
    """The same layers, not compiled. A subclassed model has no graph to share: it stays."""
    inputs = getattr(model, "inputs", None)
    return model if inputs is None else keras.Model(inputs, model.outputs)
