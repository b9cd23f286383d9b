"""Normalisation of features, one of `NORMS`."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from hypermodels.blocks.convolution import channel_axis
from hypermodels.space import missing_before

NORMS = ("none", "batch", "layer", "group", "local_response", "batch_renorm")
MISSING_NORMS = missing_before("3.14", "batch_renorm")
"""Norms that the installed Keras lacks, with what they need."""
GROUP_CHANNELS = 16
RENORM_CLIPPING = {"rmax": 3.0, "rmin": 1 / 3.0, "dmax": 5.0}


def needs_bias(kind: str) -> bool:
    """Whether a layer that is followed by this norm needs a bias; the other norms add their own."""
    return kind in ("none", "local_response")


def normalize(x: Any, kind: str, *, epsilon: float = 1e-5, momentum: float = 0.9) -> Any:
    """Normalise features.

    "batch": each channel over the batch (Ioffe and Szegedy 2015).
    "batch_renorm": that, corrected towards the moving statistics, for small batches (Ioffe 2017),
    with the bounds of its experiments: r at most 3 and d at most 5.
    "layer": the features of each position (Ba et al. 2016; Liu et al. 2022 for images).
    "group": groups of 16 channels of each image (Wu and He 2018), smaller ones where 16 does not
    divide the channels.
    "local_response": each channel by its neighbours (Krizhevsky et al. 2012).

    Args:
        x: Features (batch, …, channels); feature maps for "group" and "local_response".
        kind: One of `NORMS`.
        epsilon: Added to the variance.
        momentum: Of the moving statistics. 0.9 settles within an epoch of small data; Keras' 0.99
            would not.

    Returns:
        Features of the same shape.

    Raises:
        ValueError: if there is no such norm, or the installed Keras lacks it.
    """
    axis = channel_axis() if len(x.shape) == 4 else -1
    if kind in MISSING_NORMS:
        raise ValueError(f"norm={kind!r} needs {MISSING_NORMS[kind]}")
    if kind == "none":
        return x
    if kind == "batch":
        layer = layers.BatchNormalization(axis=axis, momentum=momentum, epsilon=epsilon)
    elif kind == "batch_renorm":
        layer = layers.BatchNormalization(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            renorm=True,
            renorm_clipping=RENORM_CLIPPING,
            renorm_momentum=momentum,
        )
    elif kind == "layer":
        layer = layers.LayerNormalization(axis=axis, epsilon=epsilon)
    elif kind == "group":
        channels = x.shape[axis]
        groups = channels // math.gcd(channels, GROUP_CHANNELS)
        layer = layers.GroupNormalization(groups, axis=axis, epsilon=epsilon)
    elif kind == "local_response":
        layer = LocalResponseNormalization(axis=axis)
    else:
        raise ValueError(f"`norm` is one of {', '.join(NORMS)}. Received: norm={kind!r}")
    return layer(x)


@keras.saving.register_keras_serializable(package="hypermodels")
class LocalResponseNormalization(layers.Layer):
    """Divides each channel by the activity of its neighbours (Krizhevsky et al. 2012, 3.3).

    b_i = a_i / (k + α Σ_j a_j²)^β, the sum over the `size` channels around channel i. The defaults
    are the paper's.

    Args:
        size: n, channels of the neighbourhood; odd.
        bias: k.
        alpha: α.
        beta: β.
        axis: Axis of the channels.
    """

    def __init__(
        self,
        size: int = 5,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.bias = bias
        self.alpha = alpha
        self.beta = beta
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """Normalise feature maps (batch, height, width, channels)."""
        rank, axis = len(inputs.shape), self.axis % len(inputs.shape)
        reach = self.size // 2
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(rank)]
        padded = ops.pad(ops.square(inputs), padding)
        channels = inputs.shape[axis]
        window = [slice(None)] * rank
        activity = ops.zeros_like(inputs)
        for shift in range(2 * reach + 1):
            window[axis] = slice(shift, shift + channels)
            activity = activity + padded[tuple(window)]
        return inputs / ops.power(self.bias + self.alpha * activity, self.beta)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        names = ("size", "bias", "alpha", "beta", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
