"""Models with layer names that TensorFlow refuses, under names that it takes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kt_tuning.export.rebuilding import rebuilt

if TYPE_CHECKING:
    import keras

RESERVED = "self"
"""TensorFlow makes an input's name the name of a parameter of a Python method."""
_CLEAN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]*")
_REFUSED = re.compile(r"[^A-Za-z0-9_.-]")


def refused_names(model: keras.Model) -> list[str]:
    """Names of a model and its layers, nested ones included, that a SavedModel cannot have.

    TensorFlow takes letters of the Latin alphabet, digits, "_", "." and "-", the first one neither
    "_" nor "-".
    """
    names = dict.fromkeys(layer.name for layer in model._flatten_layers())
    return [name for name in names if not _is_clean(name)]


def with_clean_names(model: keras.Model) -> keras.Model:
    """Return the same model with the same weights, without names that TensorFlow refuses.

    Args:
        model: Left as it is.

    Returns:
        The model itself, if it has no such names.

    Raises:
        ExportError: if it cannot be built from its configuration.
    """
    refused = refused_names(model)
    if not refused:
        return model
    clean = clean_names(refused, taken=[layer.name for layer in model._flatten_layers()])
    return rebuilt(
        model,
        lambda config: _renamed(config, clean),
        f"TensorFlow refuses layers with such names: {', '.join(map(repr, refused))}",
        "Or give these layers other names: of letters, digits and '_', the first one no '_'.",
    )


def clean_names(names: Iterable[str], *, taken: Iterable[str]) -> dict[str, str]:
    """Find names that TensorFlow takes, each different from all others.

    Args:
        names: Those that it refuses.
        taken: Names that cannot be used.
    """
    used, clean = set(taken), {}
    for name in names:
        base = _REFUSED.sub("_", name).lstrip("_-") or "layer"
        base = base if _is_clean(base) else f"{base}_"
        candidate, number = base, 0
        while candidate in used:
            number += 1
            candidate = f"{base}_{number}"
        used.add(candidate)
        clean[name] = candidate
    return clean


def _is_clean(name: str) -> bool:
    usable = name != RESERVED and not keyword.iskeyword(name)
    return usable and _CLEAN.fullmatch(name) is not None


def _renamed(config: Any, names: Mapping[str, str]) -> Any:
    """A configuration in which layers, and references to layers, have other names."""
    if isinstance(config, dict):
        return {
            key: names.get(value, value)
            if key == "name" and isinstance(value, str)
            else _renamed(value, names)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        parts = [_renamed(value, names) for value in config]
        if _is_reference(config):
            parts[0] = names.get(config[0], config[0])
        return type(config)(parts)
    return config


def _is_reference(value: Any) -> bool:
    """Whether this is how Keras refers to an output of a layer: (name, call, output)."""
    return (
        len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:])
    )
