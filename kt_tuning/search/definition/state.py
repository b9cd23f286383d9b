"""Hypermodels and recipes as plain values that can be compared, in another process as well."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.recipe import Recipe

NAME, STATE = "name", "state"
LONGEST = 1000
"""Characters of a text that is compared."""


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe; of those that may be searched a list of all values."""
    return {field.name: _plain(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)}


def describe_hypermodel(hypermodel: Any) -> dict[str, Any]:
    """The name and the public attributes of a hypermodel, or of a function that builds.

    What a function refers to, and private attributes, are not known; what they do to the model is
    told by `describe_model`.

    Args:
        hypermodel: A `keras_tuner.HyperModel`, a function, a method or a `functools.partial`.
    """
    function = getattr(hypermodel, "func", hypermodel)
    name = getattr(function, "__name__", type(function).__name__)
    state: dict[str, Any] = {}
    if function is not hypermodel:
        state = {"args": _plain(hypermodel.args), "keywords": _plain(hypermodel.keywords)}
    elif isinstance(hypermodel, keras_tuner.HyperModel):
        # KerasTuner replaces `build` by a wrapper of its own.
        skipped = {"build", "name", "tunable"}
        public = {k: v for k, v in vars(hypermodel).items() if k[0] != "_" and k not in skipped}
        state = {key: _plain(value) for key, value in public.items()}
    return {NAME: name, STATE: state}


def unchanged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A description without the attributes that builds have changed, such as counters.

    Args:
        before: Of a hypermodel, before any build.
        after: Of the same one, after some.
    """
    kept = {key: value for key, value in before[STATE].items() if after[STATE].get(key) == value}
    return {**before, STATE: kept}


def _plain(value: Any) -> Any:
    """A value as JSON has it; an object of an unknown kind is told by its class alone."""
    match value:
        case None | bool() | int():
            return value
        case str():
            # As of a model's configuration, whose names Keras counts up.
            return value if len(value) <= LONGEST else "long text"
        case Path():
            return str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted((_plain(item) for item in value), key=repr)
        case np.ndarray():
            digest = hashlib.blake2b(np.ascontiguousarray(value).data, digest_size=8).hexdigest()
            return f"array {value.shape} {value.dtype} {digest}"
        case np.generic():
            return _plain(value.item())
        case keras_tuner.HyperModel():
            return describe_hypermodel(value)
        case keras.Model():
            return f"{type(value).__name__} of {value.count_params() if value.built else '?'}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **{k: _plain(v) for k, v in fields.items()}}
    return getattr(value, "__name__", type(value).__name__)
