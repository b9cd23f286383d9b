"""Parts of networks: without the classifier, split in two, with the features of all stages."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from hypermodels.blocks import channel_axis
from hypermodels.patches import average_steps

NAME = "backbone"
"""Name of the network as a layer of the whole model."""
NOT_IN_SCOPE = re.compile(r"[^A-Za-z0-9_.\\/>-]")
"""Characters that TensorFlow does not accept in the scopes of a graph."""
SOFT = 0.1
"""Square root of the size of a feature below which its root is about proportional to it."""


def without_classifier(model: keras.Model) -> keras.Model:
    """The part of a model that makes features.

    If the last layer with weights is a dense one, it is the classifier: its input is the features.
    Else the model's output is. Feature maps and sequences are averaged.

    Args:
        model: Functional or Sequential, with one input.

    Returns:
        A model named "backbone" that shares the layers: images -> features (N, features).

    Raises:
        ValueError: if it is another kind of model, or has no such output.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(
            "`backbone` is a functional or Sequential model that takes one batch of images. "
            f"Received: {model.name!r}, a {type(model).__name__}"
        )
    _rename_layers(model)
    last = next((layer for layer in reversed(model.layers) if layer.weights), None)
    features = last.input if isinstance(last, layers.Dense) else outputs[0]
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D()(features)
    elif len(features.shape) == 3:
        features = average_steps(features)
    elif len(features.shape) != 2:
        raise ValueError(
            "`backbone` makes feature maps, sequences or vectors. "
            f"Received: {model.name!r}, whose features have the shape {features.shape}"
        )
    return keras.Model(inputs[0], features, name=NAME)


def _rename_layers(model: keras.Model) -> None:
    """Rename layers whose names TensorFlow does not accept in graphs, such as "a b" or "größe"."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _rename_layers(layer)
        if NOT_IN_SCOPE.search(layer.name):
            taken = {other.name for other in model.layers}
            name = NOT_IN_SCOPE.sub("_", layer.name)
            while name in taken:
                name += "_"
            layer.name = name


@keras.saving.register_keras_serializable(package="hypermodels")
class InferenceModel(keras.Model):
    """A functional model that is always in inference mode, even while it is trained.

    Calling a model with `training=False` inside another one does not do that: in Keras 3.15 the
    mode of the outer model overrides it.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Map inputs to outputs; `training` is not looked at."""
        return super().call(inputs, training=False, mask=mask)


def split_network(
    network: keras.Model, share: float
) -> tuple[keras.Model | None, keras.Model | None]:
    """Split a network before its last layers with weights.

    The split is where a single tensor connects both parts, as between the blocks of a residual
    network: the last such place that leaves at least the wanted share after it.

    Args:
        network: Functional, with one input and one output.
        share: Share of the layers with weights that come after the split, in [0, 1].

    Returns:
        The first part, input -> the tensor, and the second part, the tensor -> output; None for
        a part without layers. Both share the layers of `network`.
    """
    weighted = sum(bool(layer.weights) for layer in network.layers)
    wanted = math.ceil(share * weighted)
    if not wanted:
        return network, None
    found = None
    for passed, tensor in single_tensors(network):
        if weighted - passed < wanted:
            break
        found = tensor if passed else None
    if found is None:
        return None, network
    return keras.Model(network.inputs[0], found), keras.Model(found, network.outputs[0])


def single_tensors(network: keras.Model) -> Iterator[tuple[int, Any]]:
    """Tensors that all of the rest is computed from, and how many layers with weights are before.

    From input to output, the latter not included.
    """
    nodes = network._nodes_by_depth
    readers = Counter(
        id(tensor) for depth in nodes for node in nodes[depth] for tensor in node.input_tensors
    )
    live: dict[int, Any] = {}
    passed: set[int] = set()
    for depth in sorted(nodes, reverse=True)[:-1]:
        for node in nodes[depth]:
            for tensor in node.input_tensors:
                readers[id(tensor)] -= 1
                if not readers[id(tensor)]:
                    live.pop(id(tensor), None)
            live.update((id(tensor), tensor) for tensor in node.output_tensors)
            if getattr(node.operation, "weights", None):
                passed.add(id(node.operation))
        if len(live) == 1:
            yield len(passed), next(iter(live.values()))


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
