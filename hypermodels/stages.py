"""Features of every stage of a network, not of the last one alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from hypermodels.blocks import channel_axis
from hypermodels.headless import NAME
from hypermodels.splitting import single_tensors

SOFT = 0.1
"""Square root of the size of a feature below which its root is about proportional to it."""


def with_all_stages(network: keras.Model) -> keras.Model:
    """Append the averages of earlier feature maps to the features of a network.

    For each resolution, that is the last feature map that all later layers are computed from.
    On other images than a network was trained on, earlier features help (Evci et al. 2022,
    "Head2Toe", arXiv 2201.03529).

    Args:
        network: Functional, images -> features (N, features), built for images of a known size.

    Returns:
        A network that shares the layers: images -> features (N, more features), those of `network`
        first. `network` itself if it has no feature maps of several resolutions.
    """
    maps: dict[Any, Any] = {}
    height = 1 if channel_axis() == -1 else 2
    for _, tensor in single_tensors(network):
        if len(tensor.shape) == 4 and tensor.shape[height] != network.input_shape[height]:
            maps[tensor.shape[height]] = tensor
    earlier = list(maps.values())[:-1]
    if not earlier:
        return network
    # Names that Keras gives may be those of layers of the network.
    pooled = [
        layers.GlobalAveragePooling2D(name=f"average_of_stage_{stage}")(tensor)
        for stage, tensor in enumerate(earlier)
    ]
    together = layers.Concatenate(name="features_of_stages")([network.outputs[0], *pooled])
    return keras.Model(network.inputs[0], together, name=NAME)


def signed_root(x: Any) -> Any:
    """Return about the square root of each feature, with its sign: x / (sqrt(|x| + c^2) + c).

    c is `SOFT`, so that the slope is finite at 0. Without the root, a few images carry most of a
    feature's variance (Perronnin, Sánchez and Mensink 2010, "Improving the Fisher kernel for
    large-scale image classification", section 3.1).

    Args:
        x: Tensor of any shape.
    """
    ops = keras.ops
    return x / (ops.sqrt(ops.abs(x) + SOFT**2) + SOFT)
