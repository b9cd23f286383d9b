"""What residual networks add to plain ones: shortcuts, channel attention, stochastic depth."""

from __future__ import annotations

from typing import Any

from keras import layers

from hypermodels.blocks.convolution import channel_axis, convolution
from hypermodels.blocks.normalization import needs_bias, normalize


def shortcut(x: Any, like: Any, strides: int, *, norm: str) -> Any:
    """The identity where shapes agree, else a 1×1 projection (He et al. 2016, option B).

    The projection is of every `strides`-th row and column.

    Args:
        x: Input of the residual block.
        like: Output of the block's other branch.
        strides: Factor by which that branch shrinks height and width.
        norm: How the projection is normalised, one of `NORMS`.
    """
    if x.shape == like.shape:
        return x
    filters = like.shape[channel_axis()]
    projected = convolution(x, filters, 1, strides=strides, use_bias=needs_bias(norm))
    return normalize(projected, norm)


def squeeze_excite(x: Any, ratio: int) -> Any:
    """Weigh each channel by what all channels show on average (Hu et al. 2018).

    Args:
        x: Feature maps (batch, height, width, channels).
        ratio: r, by which the hidden layer is narrower than the channels.

    Returns:
        Feature maps of the same shape.
    """
    axis = channel_axis()
    channels = x.shape[axis]
    weights = layers.GlobalAveragePooling2D()(x)
    weights = layers.Dense(
        max(1, channels // ratio), activation="relu", kernel_initializer="he_normal"
    )(weights)
    weights = layers.Dense(channels, activation="sigmoid")(weights)
    weights = layers.Reshape((1, 1, channels) if axis == -1 else (channels, 1, 1))(weights)
    return layers.Multiply()([x, weights])


def stochastic_depth(x: Any, rate: float) -> Any:
    """Drop a branch whole, image by image, while training (Huang et al. 2016).

    Args:
        x: Output of the branch (batch, …).
        rate: Probability of being dropped, in [0, 1); what is kept is divided by 1 - rate.
    """
    if not rate:
        return x
    return layers.Dropout(rate, noise_shape=(None, *[1] * (len(x.shape) - 1)))(x)


def drop_rates(last: float, blocks: int) -> list[float]:
    """Rates of stochastic depth: they rise linearly to `last` (Huang et al. 2016, equation 4).

    Args:
        last: Rate of the last residual block, in [0, 1).
        blocks: Number of residual blocks.
    """
    return [last * (index + 1) / blocks for index in range(blocks)]


def residual_add(inputs: Any, branch: Any, *, drop_rate: float = 0.0) -> Any:
    """Add a branch to what went into it; the shapes agree.

    Args:
        inputs: What the block's shortcut passes on.
        branch: What the block computed.
        drop_rate: Rate of stochastic depth, in [0, 1).
    """
    return layers.Add()([inputs, stochastic_depth(branch, drop_rate)])
