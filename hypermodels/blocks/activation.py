"""Activations, and the weight initializers that go with them."""

from __future__ import annotations

from typing import Any

from keras import layers

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")


def activate(x: Any, activation: str) -> Any:
    """Apply an activation, one of `ACTIVATIONS`, elementwise."""
    return layers.Activation(activation)(x)


def initializer(activation: str) -> str:
    """The weight initializer that keeps the variance through `activation`.

    He (2015) for the rectifier family, LeCun (1998) for the saturating ones.
    """
    return "lecun_normal" if activation in ("tanh", "sigmoid") else "he_normal"
