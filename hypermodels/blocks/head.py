"""From features to logits."""

from __future__ import annotations

from typing import Any

from keras import layers

from hypermodels.blocks.convolution import activate, initializer

LOGITS = "logits"
"""Name of the last layer; Muon and fine-tuning know it by this name."""


def classifier(
    x: Any,
    classes: int,
    *,
    dropout: float = 0.0,
    dense_units: int = 0,
    activation: str = "relu",
) -> Any:
    """Map features to logits.

    Args:
        x: Features (batch, features).
        classes: Number of classes.
        dropout: Share of features dropped before the last layer while training, in [0, 1).
        dense_units: Width of a hidden dense layer, 0 for none.
        activation: Of that layer.

    Returns:
        Logits (batch, classes).
    """
    if dense_units:
        x = layers.Dense(dense_units, kernel_initializer=initializer(activation))(x)
        x = activate(x, activation)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return layers.Dense(classes, name=LOGITS)(x)
