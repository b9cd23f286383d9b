"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019
(arXiv 1905.11946); the Lite variants are those of Google's `efficientnet/lite`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
from keras import layers
from numpy.typing import NDArray

from hypermodels.blocks import channel_axis

EPSILON = 1e-3
STEM_FILTERS, HEAD_FILTERS = 32, 1280
"""Of all variants: width scales neither."""


class _Stage(NamedTuple):
    """Inverted residual blocks of one width; the first one may shrink the images."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite(
    height: int | None, width: int | None, *, wide: float = 1.0, deep: float = 1.0
) -> keras.Model:
    """Build EfficientNet-Lite without its classifier, with random weights.

    Args:
        height: Of the images, in pixels; None for any.
        width: Likewise.
        wide: Factor of the filters of each stage but stem and head: 1.0 for Lite0 and Lite1, 1.1
            for Lite2.
        deep: Factor of the blocks of each stage but the first and the last: 1.0, 1.1 and 1.2.

    Returns:
        A model named "backbone": RGB images (N, height, width, 3), each value -1 to 1, in Keras'
        image format -> features (N, 1280).
    """
    shape = (height, width, 3) if channel_axis() == -1 else (3, height, width)
    inputs = keras.Input(shape, name="images")
    x = layers.Conv2D(STEM_FILTERS, 3, 2, padding="same", use_bias=False, name="conv_stem")(inputs)
    x = _normalize(x, "bn0", activate=True)
    for index, (filters, stage, stride) in enumerate(_blocks(wide, deep)):
        x = _block(x, f"blocks_{index}", filters, stage, stride)
    x = layers.Conv2D(HEAD_FILTERS, 1, use_bias=False, name="conv_head")(x)
    x = _normalize(x, "bn1", activate=True)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="features")(x), name="backbone")


def load_torch_weights(model: keras.Model, weights: Mapping[str, NDArray[Any]]) -> None:
    """Set the weights of `efficientnet_lite` to those of the PyTorch port by ML Illustrated.

    Args:
        model: What `efficientnet_lite` returned, of the same width and depth.
        weights: As `read_torch_weights` returns them; those of the classifier are not used.

    Raises:
        ValueError: if a layer's weights are missing or have another shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(_keras_weights(layer, _torch_name(layer.name), weights))
        except KeyError as error:
            raise ValueError(f"The weights of {error} are missing.") from None


def _blocks(wide: float, deep: float) -> Iterator[tuple[int, _Stage, int]]:
    """Filters, stage and stride of each block."""
    for index, stage in enumerate(STAGES):
        repeats = stage.repeats
        if 0 < index < len(STAGES) - 1:
            repeats = math.ceil(deep * repeats)
        for repeat in range(repeats):
            yield _scaled(stage.filters, wide), stage, 1 if repeat else stage.stride


def _scaled(filters: int, wide: float) -> int:
    """The multiple of 8 next to the scaled filters, but not below nine tenths of them."""
    wanted = filters * wide
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _block(x: Any, name: str, filters: int, stage: _Stage, stride: int) -> Any:
    """An inverted residual block (Sandler et al. 2018): expand, depthwise, project."""
    before, axis = x, channel_axis()
    if stage.expansion > 1:
        expanded = x.shape[axis] * stage.expansion
        x = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalize(x, f"{name}_bn0", activate=True)
    x = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalize(x, f"{name}_bn1", activate=True)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalize(x, f"{name}_bn2", activate=False)
    if stride == 1 and before.shape[axis] == filters:
        x = layers.Add(name=f"{name}_add")([before, x])
    return x


def _normalize(x: Any, name: str, *, activate: bool) -> Any:
    x = layers.BatchNormalization(channel_axis(), epsilon=EPSILON, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activate else x


def _torch_name(name: str) -> str:
    """The PyTorch port's name of a layer: "blocks_3_bn1" is "_blocks.3._bn1"."""
    if name.startswith("blocks_"):
        _, index, part = name.split("_", 2)
        return f"_blocks.{index}._{part}"
    return f"_{name}"


def _keras_weights(
    layer: keras.Layer, name: str, weights: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    """A layer's weights in Keras' order and layout."""
    if isinstance(layer, layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [weights[f"{name}.{part}"] for part in parts]
    kernel = weights[f"{name}.weight"]
    # (output, input, height, width); a depthwise kernel has one input
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
