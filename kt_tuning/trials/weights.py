"""Weights of a model in a file, without the optimizer's state, which is up to twice as large."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras

from kt_tuning.errors import StorageError

FROZEN = "frozen"
"""Attribute of a weights file: the digest of the frozen part, which is not in it."""


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model` to `path`, a `.weights.h5` file.

    For a frozen part only its digest is written.
    """
    _without_optimizer(model).save_weights(path)
    if (frozen := getattr(model, "frozen", None)) is not None:
        with h5py.File(path, "a") as file:
            file.attrs[FROZEN] = frozen.digest


def load_weights(model: keras.Model, path: Path) -> None:
    """Read the weights that `save_weights` wrote for a model of the same structure.

    Raises:
        StorageError: if they belong to another model, or cannot be read.
    """
    if not path.is_file():
        raise StorageError(f"The weights of a finished training are gone: {path}. Restore it.")
    try:
        _check_frozen_part(model, path)
        with warnings.catch_warnings():
            # Keras would silently keep initial weights that the file lacks.
            warnings.filterwarnings("error", "Skipping nested container", UserWarning)
            _without_optimizer(model).load_weights(path)
    except OSError as error:
        raise StorageError(f"Cannot read the weights {path}: {error}. Restore the file.") from error
    except (ValueError, KeyError, UserWarning) as error:
        # Keras lists every layer, in a traceback of sixty lines.
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        size = f" of {model.count_params():,} parameters" if model.built else ""
        raise StorageError(
            f"The weights in {path} do not fit the model{size} that is built for them: {reason}. "
            "Build it as it was built for the training; if the file is damaged, delete its trial's "
            "folder."
        ) from None


def _check_frozen_part(model: keras.Model, path: Path) -> None:
    frozen = getattr(model, "frozen", None)
    with h5py.File(path) as file:
        found = file.attrs.get(FROZEN)
    if found != (None if frozen is None else frozen.digest):
        raise StorageError(
            f"The weights in {path} belong to another pre-trained network than the one that is "
            "installed. Install the version that they were trained with."
        )


def _without_optimizer(model: keras.Model) -> keras.Model:
    """Return the layers whose weights are kept as an uncompiled model, if it is functional."""
    frozen = getattr(model, "frozen", None)
    part = model if frozen is None else frozen.head
    inputs = getattr(part, "inputs", None)
    return part if inputs is None else keras.Model(inputs, part.outputs)
