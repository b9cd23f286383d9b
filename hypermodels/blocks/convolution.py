"""Convolutions and pooling of feature maps."""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from hypermodels.blocks.activation import initializer
from hypermodels.blocks.layout import channel_axis, subsample


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


def depthwise(
    x: Any,
    kernel_size: int,
    *,
    strides: int = 1,
    padding: str = "same",
    use_bias: bool = True,
    activation: str = "relu",
) -> Any:
    """Convolve each channel with a kernel of its own; arguments as for `convolution`."""
    if kernel_size == 1:
        x, strides = subsample(x, strides), 1
    return layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        depthwise_initializer=initializer(activation),
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
