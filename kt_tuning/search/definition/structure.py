"""Layers and training of a model as plain values, without the numbered names of Keras."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras

VOLATILE = {
    *("name", "dtype", "seed", "module", "registered_name", "build_config", "function"),
    "shared_object_id",
}
"""Settings that differ from process to process, or with the precision."""
CLASS, WEIGHTS, SETTINGS = "class", "weights", "settings"


def describe_model(model: keras.Model) -> list[dict[str, Any]]:
    """Return a row a layer (class, shapes of its weights, settings), then the training.

    Args:
        model: Compiled or not.
    """
    rows = [
        {
            CLASS: type(layer).__name__,
            WEIGHTS: [list(weight.shape) for weight in layer.weights],
            SETTINGS: {} if isinstance(layer, keras.Model) else _settings(layer),
        }
        for layer in _layers(model)
    ]
    for kind in ("optimizer", "loss"):
        part = getattr(model, kind, None)
        name = part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__)
        rows.append({CLASS: f"{kind} {name}", WEIGHTS: [], SETTINGS: _settings(part)})
    return rows


def structure_difference(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str | None:
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
        return f"layer {place} was {was}, now {here}" if " " not in was else f"{was}, now {here}"
    for place, (one, other) in enumerate(zip(before, now, strict=True)):
        label = one[CLASS] if " " in one[CLASS] else f"layer {place} ({one[CLASS]})"
        if one[WEIGHTS] != other[WEIGHTS]:
            return f"{label} had weights {_shapes(one)}, now {_shapes(other)}"
        if difference := _first(one[SETTINGS], other[SETTINGS]):
            return f"{label}: {difference}"
    return None


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in getattr(model, "layers", []):
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _settings(part: Any) -> dict[str, Any]:
    """Return the plain part of a configuration; an empty dict if it cannot be read."""
    with contextlib.suppress(Exception):  # custom layers may lack a configuration
        found = _plain(part.get_config())
        return found if isinstance(found, dict) else {}
    return {}


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case None | bool() | int() | str():
            return value
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items() if k not in VOLATILE}
        case list() | tuple():
            return [_plain(item) for item in value]
    return type(value).__name__


def _first(before: Any, now: Any) -> str | None:
    for name in before:
        if name not in now or before[name] == now[name]:
            continue
        if isinstance(before[name], dict) and isinstance(now[name], dict):
            if difference := _first(before[name], now[name]):
                return f"{name}: {difference}"
            continue
        return f"{name} was {before[name]}, now {now[name]}"
    return None


def _shapes(row: dict[str, Any]) -> str:
    return ", ".join(str(tuple(shape)) for shape in row[WEIGHTS]) or "none"
