"""Where height, width and channels are in a batch of feature maps, and every nth row and column."""

from __future__ import annotations

from typing import Any

import keras


def channel_axis() -> int:
    """Axis of the channels: -1 for "channels_last", 1 for "channels_first"."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def feature_axis(x: Any) -> int:
    """Axis of the features: that of the channels for feature maps, else the last one."""
    return channel_axis() if len(x.shape) == 4 else -1


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
