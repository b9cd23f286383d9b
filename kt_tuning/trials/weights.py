"""Saving models: weights without the optimizer's state, and models that plain Keras loads."""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.run.layout import BUILD_CONFIG
from kt_tuning.trials.spec import TrialFailedError

FROZEN = "frozen"
"""Attribute of a weights file: the digest of the frozen part, which is not in it."""
PACKAGE = "hypermodels>"
"""How the registered names of the parts in `hypermodels` begin."""
CROSS_ENTROPY = f"{PACKAGE}CrossEntropy"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model` to `path`, a `.weights.h5` file.

    For a frozen part only its digest is written.
    """
    part = _without_optimizer(model)
    part.save_weights(path)
    if not path.exists():
        # A subclass may override `save_weights` and write elsewhere.
        keras.Model.save_weights(part, path)
    if (frozen := getattr(model, "frozen", None)) is not None:
        with h5py.File(path, "a") as file:
            file.attrs[FROZEN] = frozen.digest


def save_build_config(model: keras.Model, folder: Path) -> None:
    """Write how `model` was built, as KerasTuner does, for models that only `fit` builds.

    What Keras cannot tell of a subclassed model, or JSON cannot hold, is left out.
    """
    with contextlib.suppress(TypeError, ValueError, NotImplementedError):
        write_json(folder / BUILD_CONFIG, model.get_build_config() or {})


def load_weights(model: keras.Model, path: Path) -> None:
    """Read the weights that `save_weights` wrote for a model of the same structure.

    A model that is not built yet is built first, as the other one was.

    Raises:
        StorageError: if they belong to another model, or cannot be read.
    """
    if not path.is_file():
        raise StorageError(f"The weights of a finished training are gone: {path}. Restore it.")
    try:
        _build(model, path.parent)
        _check_frozen_part(model, path)
        with warnings.catch_warnings():
            # Keras would silently keep initial weights that the file lacks.
            warnings.filterwarnings("error", "Skipping nested container", UserWarning)
            # The state of the optimizer, if there is any, may be that of another one.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
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


def load_stock_weights(model: keras.Model, path: Path) -> None:
    """Read into `model` the weights that KerasTuner has kept of a trial.

    Raises:
        StorageError: if they are those of another model, or cannot be read.
    """
    try:
        _build(model, path.parent)
        with warnings.catch_warnings():
            # The optimizer's state, which is not needed, may be that of another one.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"Cannot read the weights {path}: {error}. Restore the file.") from error


def _build(model: keras.Model, folder: Path) -> None:
    """Build a model that only `fit` builds, as the one was whose weights are in `folder`."""
    config = folder / BUILD_CONFIG
    if not model.built and config.is_file():
        model.build_from_config(read_json(config))
        # Keras builds the layers of a subclassed model, and does not call the model itself built.
        model.built = model.built or all(layer.built for layer in model.layers)


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
    """Return the layers whose weights are kept as an uncompiled model, if it is functional.

    A model with weights that its outputs do not need, such as those of an attached layer that only
    `train_step` uses, is returned itself.
    """
    frozen = getattr(model, "frozen", None)
    part = model if frozen is None else frozen.head
    inputs = getattr(part, "inputs", None)
    if inputs is None:
        return part
    plain = keras.Model(inputs, part.outputs)
    return plain if len(plain.weights) == len(part.weights) else part


def save_with_keras_parts(model: keras.Model) -> None:
    """Have `model.save` write the parts of its training that Keras has, too, as Keras's own.

    A learning-rate schedule, which has ended, becomes the constant peak rate; cross-entropy becomes
    Keras's for integer labels, which has no label smoothing. The model itself stays as it is.
    Parts that Keras lacks are written as they are: the error on loading such a file then names the
    module to import, such as `hypermodels.compiling.losses`.

    Args:
        model: With the weights that it is to be saved with.
    """
    config = model.get_compile_config()
    plain = _plain(config)
    if plain != config:
        model.get_compile_config = functools.partial(copy.deepcopy, plain)


def _plain(config: Any) -> Any:
    """A serialized object with the replaceable parts of `hypermodels` replaced."""
    if isinstance(config, (list, tuple)):
        return [_plain(part) for part in config]
    if not isinstance(config, dict):
        return config
    name, arguments = config.get("registered_name") or "", config.get("config") or {}
    if name.startswith(PACKAGE) and "peak" in arguments:
        return arguments["peak"]
    if name == CROSS_ENTROPY:
        return keras.losses.serialize(keras.losses.SparseCategoricalCrossentropy())
    return {key: _plain(value) for key, value in config.items()}


def set_kept_weights(model: keras.Model, weights: Sequence[NDArray[Any]]) -> None:
    """Set the weights of the best epoch in the model that the hypermodel built.

    Raises:
        TrialFailedError: if they are those of another model.
    """
    shapes = [tuple(weight.shape) for weight in model.weights]
    if shapes != [weight.shape for weight in weights]:
        raise TrialFailedError(
            "The hypermodel's `fit` has trained another model than the one that `build` returned: "
            "its weights do not fit that one. Change the model that `fit` is given in place."
        )
    model.set_weights(weights)
