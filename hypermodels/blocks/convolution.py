"""Convolutions, pooling and activations of feature maps, and the axes of their arrays."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")


def convolution(
    x: Any,
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    padding: str = "same",
    separable: bool = False,
    groups: int = 1,
    use_bias: bool = True,
    activation: str = "relu",
) -> Any:
    """A plain, grouped or depthwise-separable convolution, without its activation.

    A 1×1 convolution with strides is one without strides of every `strides`-th row and column, see
    `subsample`.

    Args:
        x: Feature maps (batch, height, width, channels).
        filters: Channels of the output.
        kernel_size: Side of the kernel, in pixels.
        strides: Step, in pixels.
        padding: "same" or "valid".
        separable: Depthwise, then pointwise (Chollet 2017).
        groups: Groups of channels that are convolved apart (Krizhevsky et al. 2012), unless
            `separable`; as many of them as divide the channels of input and output.
        use_bias: Whether a bias is added; a normalisation that follows makes it redundant.
        activation: The activation that will follow; it decides the initializer.

    Returns:
        Feature maps (batch, height', width', filters).
    """
    start = initializer(activation)
    if kernel_size == 1:
        x, strides = subsample(x, strides), 1
    if separable:
        return layers.SeparableConv2D(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=use_bias,
            depthwise_initializer=start,
            pointwise_initializer=start,
        )(x)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        groups=math.gcd(groups, x.shape[channel_axis()], filters),
        use_bias=use_bias,
        kernel_initializer=start,
    )(x)


def pool(x: Any, kind: str, padding: str, *, size: int = 2, strides: int | None = None) -> Any:
    """Shrink feature maps by "max" or "average" pooling.

    Args:
        x: Feature maps (batch, height, width, channels).
        kind: "max" or "average".
        padding: "same" or "valid".
        size: Side of the window, in pixels.
        strides: Step, in pixels; by default `size`.
    """
    layer = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
    return layer(size, strides=strides, padding=padding)(x)


def activate(x: Any, activation: str) -> Any:
    """Apply an activation, one of `ACTIVATIONS`, elementwise."""
    return layers.Activation(activation)(x)


def initializer(activation: str) -> str:
    """The weight initializer that keeps the variance through `activation`.

    He (2015) for the rectifier family, LeCun (1998) for the saturating ones.
    """
    return "lecun_normal" if activation in ("tanh", "sigmoid") else "he_normal"


def channel_axis() -> int:
    """Axis of the channels: -1 for "channels_last", 1 for "channels_first"."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def spatial_size(x: Any) -> tuple[int, int]:
    """Height and width of a batch of feature maps."""
    return (x.shape[1], x.shape[2]) if channel_axis() == -1 else (x.shape[2], x.shape[3])


def subsample(x: Any, strides: int) -> Any:
    """Keep every `strides`-th row and column of feature maps, the first ones included.

    Before a 1×1 convolution without strides this gives what the convolution with these strides
    would: (batch, ⌈height / strides⌉, ⌈width / strides⌉, channels). TensorFlow should not be given
    the latter: oneDNN's weight gradient of a strided 1×1 convolution of fewer than 16 channels
    writes past its memory (seen in TensorFlow 2.21; fewer than 8 channels without AVX-512).
    """
    if strides == 1:
        return x
    if channel_axis() == 1:
        return x[:, :, ::strides, ::strides]
    return x[:, ::strides, ::strides]
