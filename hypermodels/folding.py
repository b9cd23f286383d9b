"""Batch normalisation as a part of the convolution before it: the same outputs in fewer steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers

from hypermodels.blocks import channel_axis


def fold_batch_normalization(model: keras.Model, images: Any = None) -> keras.Model:
    """Return a model for inference without the batch normalisations that follow a convolution.

    y = γ·(k∗x + b − μ)/√(σ² + ε) + β is a convolution with the kernel k·s and the bias
    (b − μ)·s + β, s = γ/√(σ² + ε). Keras computes the normalisation as steps of their own over
    whole feature maps; on a processor a network without them is about half as fast again.

    Args:
        model: Functional or Sequential, models nested in it included; left as it is.
        images: Input of the result (`keras.Input`) in place of one like that of the model, which
            it has to fit.

    Returns:
        The model itself if nothing can be folded. Otherwise one that shares all other layers with
        it, is not compiled, and gives the same outputs within rounding when it predicts. Its
        weights are those of the moment: train the original, not this one.
    """
    if not _foldable(model):
        return model
    pairs = dict(_pairs(model))
    normalizations = {id(normalization) for normalization in pairs.values()}
    made: dict[int, Any] = {}

    def folded(operation: Any) -> Any:
        if id(operation) in normalizations:
            return lambda x, **_: x
        if operation in pairs or isinstance(operation, keras.Model):
            if id(operation) not in made:
                made[id(operation)] = (
                    type(operation).from_config({**operation.get_config(), "use_bias": True})
                    if operation in pairs
                    else fold_batch_normalization(operation)
                )
            return made[id(operation)]
        return operation

    source = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    twin = keras.models.clone_model(source, input_tensors=images, clone_function=folded)
    for convolution, normalization in pairs.items():
        made[id(convolution)].set_weights(_folded_weights(convolution, normalization))
    return twin


def _foldable(model: Any) -> bool:
    """Whether there is something to fold in a model or in those nested in it."""
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        return False
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return False
    return bool(_pairs(model)) or any(map(_foldable, model.layers))


def _pairs(model: keras.Model) -> list[tuple[layers.Layer, layers.BatchNormalization]]:
    """Convolutions of a model whose only use is by a batch normalisation of its channels."""
    by_depth = keras.Model(model.inputs[0], model.outputs[0])._nodes_by_depth
    nodes = [node for depth in by_depth.values() for node in depth]
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses[id(model.outputs[0])] += 1
    found = []
    for node in nodes:
        if type(node.operation) is not layers.BatchNormalization or getattr(
            node.operation, "renorm", False
        ):
            continue
        (maps,) = node.input_tensors
        before = maps._keras_history.operation
        if (
            type(before) in (layers.Conv2D, layers.DepthwiseConv2D)
            and before.activation is keras.activations.linear
            and before.data_format == keras.config.image_data_format()
            and node.operation.axis in (channel_axis(), channel_axis() % 4)
            and uses[id(maps)] == calls[id(before)] == calls[id(node.operation)] == 1
            and before.dtype_policy.name == node.operation.dtype_policy.name
        ):
            found.append((before, node.operation))
    return found


def _folded_weights(
    convolution: layers.Layer, normalization: layers.BatchNormalization
) -> list[np.ndarray[Any, Any]]:
    """Kernel and bias of the convolution that does both."""
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(statistic), np.float64)
        for statistic in (normalization.moving_mean, normalization.moving_variance)
    )
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * keras.ops.convert_to_numpy(normalization.gamma)
    kernel, *bias = convolution.get_weights()
    shift = ((bias[0] if bias else 0) - mean) * scale
    if normalization.center:
        shift = shift + keras.ops.convert_to_numpy(normalization.beta)
    # The outputs of a depthwise convolution are its kernel's last two axes.
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    return [kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale), shift]
