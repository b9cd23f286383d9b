"""Hypermodels, recipes, models and package versions as plain values, which can be compared."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import inspect
import json
import math
import platform
import textwrap
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.recipe import Recipe
from kt_tuning.trials import layers_of

NAME, STATE = "name", "state"
CLASS, WEIGHTS, SETTINGS = "class", "weights", "settings"
LIBRARIES = ("hypermodels", "keras_tuner", "kt_tuning")
"""Packages whose code is known by their versions."""
LONGEST = 1000
"""Largest number of characters of a text that is compared."""
VOLATILE = {
    *("name", "dtype", "seed", "module", "registered_name", "build_config", "function"),
    "shared_object_id",
}
"""Settings of a layer that differ from process to process, or with the precision."""

Rows = list[dict[str, Any]]


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


def describe_code(hypermodel: Any) -> str | None:
    """Return a digest of the source of a build function, or of a hypermodel's methods.

    Comments and layout do not count. None for the families of `hypermodels`, and for source that
    cannot be read, as of a function that was typed into a console.

    Args:
        hypermodel: See `describe_hypermodel`.
    """
    function = getattr(hypermodel, "func", hypermodel)
    functions = [function]
    if isinstance(function, keras_tuner.HyperModel):
        members = [member for kind in type(function).__mro__ for member in vars(kind).values()]
        functions = [member for member in members if inspect.isfunction(member)]
    texts = []
    for each in functions:
        if (getattr(each, "__module__", None) or "").split(".")[0] not in LIBRARIES:
            with contextlib.suppress(OSError, TypeError, SyntaxError):
                source = textwrap.dedent(inspect.getsource(each))
                texts.append(ast.dump(ast.parse(source)))
    text = "".join(texts)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() if text else None


def unchanged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Remove attributes that builds have changed, such as counters, from a description."""
    kept = {key: value for key, value in before[STATE].items() if after[STATE].get(key) == value}
    return {**before, STATE: kept}


def describe_model(model: keras.Model) -> Rows:
    """Return a row per layer (class, shapes of its weights, settings), then the training."""
    rows: Rows = [
        {
            CLASS: type(layer).__name__,
            WEIGHTS: [list(weight.shape) for weight in layer.weights],
            SETTINGS: {} if isinstance(layer, keras.Model) else _settings(layer),
        }
        for layer in layers_of(model)
    ]
    for kind in ("optimizer", "loss"):
        part = getattr(model, kind, None)
        name = part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__)
        rows.append({CLASS: f"{kind} {name}", WEIGHTS: [], SETTINGS: _settings(part)})
    rows[-1][SETTINGS] |= _compiled_with(model)
    return rows


def structure_difference(before: Rows, now: Rows) -> str | None:
    """Describe the first difference of two models; None if they are equal.

    Settings of only one of them are ignored: another version of Keras may have added them.
    """
    classes = [[row[CLASS] for row in rows] for rows in (before, now)]
    if classes[0] != classes[1]:
        place = next(
            (i for i, (a, b) in enumerate(zip(*classes, strict=False)) if a != b),
            min(map(len, classes)),
        )
        was, here = (names[place] if place < len(names) else "nothing" for names in classes)
        if " " in was and " " in here:
            return f"{was}, now {here}"
        # The rows of the training come after those of the layers.
        was, here = ("nothing" if " " in name else name for name in (was, here))
        return f"layer {place} was {was}, now {here}"
    for place, (one, other) in enumerate(zip(before, now, strict=True)):
        label = one[CLASS] if " " in one[CLASS] else f"layer {place} ({one[CLASS]})"
        if one[WEIGHTS] != other[WEIGHTS]:
            was, here = (
                ", ".join(str(tuple(shape)) for shape in row[WEIGHTS]) or "none"
                for row in (one, other)
            )
            return f"{label} had weights {was}, now {here}"
        if difference := _first_difference(one[SETTINGS], other[SETTINGS]):
            return f"{label}: {difference}"
    return None


def _settings(part: Any) -> dict[str, Any]:
    """Return the plain part of a configuration; an empty dict if it cannot be read."""
    with contextlib.suppress(Exception):  # custom layers may lack a configuration
        found = _plain(part.get_config(), skip=VOLATILE)
        return found if isinstance(found, dict) else {}
    return {}


def _compiled_with(model: keras.Model) -> dict[str, Any]:
    """Return the losses of several outputs, their weights, and the metrics that have settings."""
    config = getattr(getattr(model, "_compile_config", None), "config", None) or {}
    loss, metrics = config.get("loss"), [config.get("metrics"), config.get("weighted_metrics")]
    several = loss if isinstance(loss, (dict, list, tuple)) else None
    return {
        "losses": _plain(keras.tree.map_structure(_part, several)),
        "loss_weights": _plain(config.get("loss_weights")),
        # A name of Keras and an object of that name may be the same metric.
        "metrics": {
            metric.name: _part(metric)
            for metric in keras.tree.flatten(metrics)
            if isinstance(metric, keras.metrics.Metric)
        },
    }


def _part(part: Any) -> Any:
    """Return a loss or a metric as plain values: a name, or a class with its settings."""
    settings = _settings(part)
    return {CLASS: type(part).__name__, **settings} if settings else _plain(part)


def _first_difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    for name in before:
        if name not in now or before[name] == now[name]:
            continue
        if isinstance(before[name], dict) and isinstance(now[name], dict):
            if difference := _first_difference(before[name], now[name]):
                return f"{name}: {difference}"
            continue
        return f"{name} was {before[name]}, now {now[name]}"
    return None


def _plain(value: Any, skip: Collection[str] = ()) -> Any:
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
            return {str(key): _plain(v, skip) for key, v in value.items() if key not in skip}
        case list() | tuple():
            return [_plain(item, skip) for item in value]
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


def as_stored(value: Any) -> Any:
    """Return a value as it is read back from JSON."""
    return json.loads(json.dumps(value, default=str))


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect results."""
    names = ("kt-tuning", "keras", "keras-tuner", "numpy", "pillow", keras.backend.backend())
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}
