"""Saving trained models so that plain Keras loads them, without `import hypermodels`."""

from __future__ import annotations

import copy
import functools
from typing import Any

import keras

PACKAGE = "hypermodels>"
"""How the registered names of the parts in `hypermodels` begin."""
CROSS_ENTROPY = f"{PACKAGE}CrossEntropy"


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
