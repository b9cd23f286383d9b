"""Which model it is: a digest of its weights and of how it computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

_BYTES = 8
_PASSING = ("build_config", "compile_config", "registered_name", "shared_object_id")
"""What a Keras configuration says that is lost or changes when a model is saved and loaded."""


def model_digest(model: Any) -> str | None:
    """Return a digest that two models share exactly if they are the same one.

    Names of layers and an optimizer's state do not count: a model that was saved and loaded again
    keeps its digest.

    Args:
        model: A Keras model; or an object with `to_keras`, such as an `Ensemble`.

    Returns:
        16 hexadecimal digits; None for what is no Keras model, as there is nothing to compute a
        digest of.
    """
    if hasattr(model, "to_keras"):
        model = model.to_keras()
    if not (hasattr(model, "get_weights") and hasattr(model, "to_json")):
        return None
    digest = hashlib.blake2b(digest_size=_BYTES)
    digest.update(_architecture(model).encode())
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _architecture(model: Any) -> str:
    """Return a model's configuration, with its layers numbered instead of named."""
    try:
        content = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError):
        # A subclassed model that does not say how it is made.
        return type(model).__qualname__
    names = {name: f"#{place}" for place, name in enumerate(dict.fromkeys(_names(content)))}
    return json.dumps(_canonical(content, names), sort_keys=True)


def _names(content: Any) -> Iterator[str]:
    """Names of layers, in the order in which the configuration has them."""
    if isinstance(content, dict):
        if isinstance(content.get("name"), str):
            yield content["name"]
        for value in content.values():
            yield from _names(value)
    elif isinstance(content, list):
        for value in content:
            yield from _names(value)


def _canonical(content: Any, names: dict[str, str]) -> Any:
    if isinstance(content, dict):
        return {k: _canonical(v, names) for k, v in content.items() if k not in _PASSING}
    if isinstance(content, list):
        return [_canonical(value, names) for value in content]
    return names.get(content, content) if isinstance(content, str) else content
