"""Hypermodels and recipes as plain values, which other processes can compare."""

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
"""Largest number of characters of a text that is compared."""


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe; searched fields as lists of values."""
    return {field.name: _plain(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)}


def describe_hypermodel(hypermodel: Any) -> dict[str, Any]:
    """Return the name and the public attributes of a hypermodel or a build function.

    Private attributes and closures are unknown; `describe_model` shows their effect on the model.

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
    """Remove attributes that builds have changed, such as counters, from a description.

    Args:
        before: Description of a hypermodel before any build.
        after: Description of the same hypermodel after some builds.
    """
    kept = {key: value for key, value in before[STATE].items() if after[STATE].get(key) == value}
    return {**before, STATE: kept}


def _plain(value: Any) -> Any:
    """Convert a value to JSON types; objects of unknown types become the name of their class."""
    match value:
        case None | bool() | int():
            return value
        case str():
            # Such as a model's configuration, in which Keras numbers the names.
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
