"""Layers that shrink images with antialiasing, as matrix products: for runtimes without that step.

TensorFlow's operation, ScaleAndTranslate, is unknown to LiteRT and ONNX. It is linear, and separate
for rows and columns: out = R·x·Cᵀ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


def plain_shrinking(model: keras.Model) -> keras.Model:
    """Return the same model, sharing all weights, with matrix products for antialiased resizing.

    Args:
        model: Left as it is.

    Returns:
        The model itself if there is nothing to replace, or its layers cannot be followed.
    """
    import keras

    if not (getattr(model, "outputs", None) and any(map(_shrinks, model._flatten_layers()))):
        return model
    made: dict[int, Any] = {}

    def renewed(operation: Any) -> Any:
        if _shrinks(operation):
            return lambda x, **_: _shrunk(x, operation)
        if isinstance(operation, keras.Model):
            if id(operation) not in made:
                made[id(operation)] = plain_shrinking(operation)
            return made[id(operation)]
        return operation

    source = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    twin: keras.Model = keras.models.clone_model(source, clone_function=renewed)
    return twin


def _shrinks(layer: Any) -> bool:
    import keras

    return (
        isinstance(layer, keras.layers.Resizing)
        and layer.antialias
        and layer.data_format == "channels_last"
        and not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
    )


def _shrunk(x: Any, layer: keras.layers.Resizing) -> Any:
    """Images (N, height, width, channels) of the layer's size."""
    import keras

    height, width, channels = x.shape[1:]
    rows = _weights(height, layer.height, layer.interpolation)
    columns = _weights(width, layer.width, layer.interpolation)
    lines = keras.ops.matmul(rows, keras.ops.reshape(x, (-1, height, width * channels)))
    lines = keras.ops.reshape(lines, (-1, layer.height, width, channels))
    return keras.ops.matmul(columns, lines)


def _weights(before: int, after: int, interpolation: str) -> Any:
    """What each of `before` lines counts in each of `after`: float32 (after, before)."""
    import keras

    unit = np.eye(before, dtype=np.float32)[None, :, :, None]
    resized = keras.ops.image.resize(
        unit,
        (after, before),
        interpolation=interpolation,
        antialias=True,
        data_format="channels_last",
    )
    return keras.ops.convert_to_numpy(resized)[0, :, :, 0]
