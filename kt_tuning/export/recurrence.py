"""Recurrent layers without a loop, for runtimes that know none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kt_tuning.export.rebuilding import rebuilt

if TYPE_CHECKING:
    import keras

UNROLL = "unroll"
"""What Keras calls it, as an attribute and in the configuration of a recurrent layer."""
WRAPPED = ("layer", "forward_layer", "backward_layer")
"""What Keras calls layers within others."""


def unrolled(model: keras.Model) -> keras.Model:
    """Return the same model with the steps of its recurrent layers one after the other.

    Returns:
        The model itself, if it has none.

    Raises:
        ExportError: if it cannot be built from its configuration.
    """
    if not _loops(model):
        return model
    return rebuilt(model, _unrolled, "This format has no loops, and the model is recurrent")


def _loops(layer: Any) -> bool:
    """Whether a layer, or one in it, is recurrent and not unrolled."""
    wrapped = (getattr(layer, name, None) for name in WRAPPED)
    inner = [*getattr(layer, "layers", ()), *(found for found in wrapped if found is not None)]
    return getattr(layer, UNROLL, True) is False or any(map(_loops, inner))


def _unrolled(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            name: True if name == UNROLL else _unrolled(value) for name, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(_unrolled, config))
    return config
