"""Models that were trained in mixed precision, in float32: for runtimes that know no other.

Their weights are float32 already, and only what is computed from them is rounded to 16 bits. The
same layers without that rounding are what converters take, and what processors are quick at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kt_tuning.export.rebuilding import rebuilt

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
HALVES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def half_precision(model: keras.Model) -> str | None:
    """Return the 16-bit policy that layers of a model compute in, or None if none does."""
    for layer in getattr(model, "layers", ()):
        name = getattr(getattr(layer, "dtype_policy", None), "name", None)
        if name in HALVES:
            return str(name)
        if (inner := half_precision(layer)) is not None:
            return inner
    return None


def in_float32(model: keras.Model) -> keras.Model:
    """Return the same model with the same weights, computing in float32.

    Raises:
        ExportError: if it cannot be built from its configuration.
    """
    need = f"The model computes in {half_precision(model)}, and this format in float32"
    return rebuilt(model, _in_float32, need)


def _in_float32(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"].get("name") in HALVES:
            return {**config, "config": {**config["config"], "name": FLOAT32}}
        return {name: _entry(name, value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return config


def _entry(name: str, value: Any) -> Any:
    """A cast names its type alone."""
    return FLOAT32 if name == "dtype" and value in HALVES else _in_float32(value)
