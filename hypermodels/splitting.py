"""A network in two parts, of which the first one is never trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras


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
