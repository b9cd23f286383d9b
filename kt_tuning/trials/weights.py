"""The weights of a model in a file, without the optimizer's state, which doubles or trebles it."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras

from kt_tuning.core.errors import StorageError

FROZEN = "frozen"
"""Attribute of a file of weights: the digest of the part of the model that is not in it."""


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model` to `path`, a `.weights.h5` file.

    Of a model with a frozen part, only those of the rest, and the digest of that part.
    """
    _without_optimizer(model).save_weights(path)
    if (frozen := getattr(model, "frozen", None)) is not None:
        with h5py.File(path, "a") as file:
            file.attrs[FROZEN] = frozen.digest


def load_weights(model: keras.Model, path: Path) -> None:
    """Read into `model` the weights that `save_weights` wrote of one like it.

    Raises:
        StorageError: if they are those of another model, or cannot be read.
    """
    if not path.is_file():
        raise StorageError(f"The weights of a finished training are gone: {path}. Restore it.")
    try:
        _check_frozen_part(model, path)
        with warnings.catch_warnings():
            # Keras would leave layers that the file lacks as they were initialised.
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
            "Build it as it was built when they were trained; if the file is damaged, delete its "
            "trial's folder."
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
    """The layers whose weights are kept, not compiled. A subclassed model stays as it is."""
    frozen = getattr(model, "frozen", None)
    part = model if frozen is None else frozen.head
    inputs = getattr(part, "inputs", None)
    return part if inputs is None else keras.Model(inputs, part.outputs)
