"""Arithmetic of a model for one image, counted in its TensorFlow graph, loops included.

TensorFlow's own profiler knows no einsum, counts operations that the output does not need, and does
not look into loops.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from kt_tuning.core.errors import OptionError

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile")
_A_RESULT = {
    **dict.fromkeys(("Add", "AddV2", "Sub", "Mul", "RealDiv", "BiasAdd", "Neg", "Pow"), 1),
    **dict.fromkeys(("Maximum", "Minimum", "Square", "Sqrt", "Exp", "Log", "Erf", "Abs"), 1),
    **dict.fromkeys(("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh"), 1),
    **dict.fromkeys(("Softplus", "Softsign", "AddN"), 1),
    **dict.fromkeys(("SquaredDifference", "Rsqrt", "FusedBatchNormV3"), 2),
    **dict.fromkeys(("Softmax", "LogSoftmax"), 5),
}
"""Operations for each element of the result."""
_AN_INPUT = ("Sum", "Mean", "Max", "Min", "Prod")
_POOLINGS = ("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D")


@dataclasses.dataclass(frozen=True)
class Complexity:
    """Arithmetic of one prediction for one image.

    Attributes:
        multiply_adds: Those of convolutions and matrix products, "FLOPs" or "MACs" in papers.
        elementwise: Other floating-point operations: activations, normalisation, biases, pooling.
    """

    multiply_adds: int
    elementwise: int

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add counts as two."""
        return 2 * self.multiply_adds + self.elementwise


def measure_complexity(model: Any) -> Complexity:
    """Count the arithmetic of one prediction for one image.

    Counted on TensorFlow's graph of the forward pass, on what the output needs. A recurrent layer
    counts as often as it takes steps. Not counted are operations that only move data, and fused
    recurrent kernels, which TensorFlow uses on a GPU.

    Args:
        model: A built Keras model with one input.

    Raises:
        OptionError: if the Keras backend is not TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise OptionError(
            "FLOPs are counted on a TensorFlow graph. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}. Limit parameters instead."
        )
    import tensorflow as tf

    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    return Complexity(*graph_cost(forward.get_concrete_function(spec).graph))


def _elements(tensor: Any) -> int:
    """Number of elements; a side that is not known is the batch's, which is 1."""
    return math.prod(side or 1 for side in tensor.shape)


def _convolution(op: Any) -> int:
    """Each output element sums over the kernel and the input channels of its group.

    In a depthwise one it is only the kernel. In a transposed one each input element is spread
    over the kernel and the output channels.
    """
    *window, channels, _ = op.inputs[1].shape
    if op.type == "DepthwiseConv2dNative":
        channels = 1
    element = op.inputs[2] if op.type == "Conv2DBackpropInput" else op.outputs[0]
    return _elements(element) * math.prod(window) * channels


def _matrix_product(op: Any) -> int:
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    inner = op.inputs[0].shape[-2 if transposed else -1]
    return _elements(op.outputs[0]) * (inner or 1)


def _einsum(op: Any) -> int:
    """One multiply-add for each combination of indices."""
    terms = op.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, op.inputs, strict=True):
        sizes.update((name, side or 1) for name, side in zip(term, tensor.shape, strict=True))
    return math.prod(sizes.values())


_PRODUCTS: dict[str, Callable[[Any], int]] = {
    **dict.fromkeys(
        ("Conv2D", "Conv3D", "Conv2DBackpropInput", "DepthwiseConv2dNative"), _convolution
    ),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matrix_product),
    "Einsum": _einsum,
}


def graph_cost(graph: Any) -> tuple[int, int]:
    """Return the multiply-adds and other operations that a function graph's outputs need."""
    needed: dict[str, Any] = {}
    waiting = [tensor.op for tensor in graph.outputs]
    while waiting:
        op = waiting.pop()
        if op.name not in needed:
            needed[op.name] = op
            waiting.extend(tensor.op for tensor in op.inputs)
    products, others = zip(*map(_operation_cost, needed.values()), strict=True)
    return sum(products), sum(others)


def _operation_cost(op: Any) -> tuple[int, int]:
    if op.type in _CALLS:
        return graph_cost(_function(op, "f"))
    if op.type in _LOOPS:
        steps = _steps(_function(op, "cond"))
        products, others = graph_cost(_function(op, "body"))
        return steps * products, steps * others
    if op.type in _PRODUCTS:
        return _PRODUCTS[op.type](op), 0
    if not op.outputs or not op.outputs[0].dtype.is_floating:
        return 0, 0
    if op.type in _A_RESULT:
        return 0, _A_RESULT[op.type] * _elements(op.outputs[0])
    if op.type in _AN_INPUT:
        return 0, _elements(op.inputs[0])
    if op.type in _POOLINGS:
        return 0, math.prod(op.get_attr("ksize")) * _elements(op.outputs[0])
    return 0, 0


def _function(op: Any, attribute: str) -> Any:
    """Return the graph of a function that an operation calls; it may belong to a graph around."""
    name = op.get_attr(attribute).name
    graph = op.graph
    while (found := graph._get_function(name)) is None:
        graph = graph.outer_graph
    return found.graph


def _steps(condition: Any) -> int:
    """Return the constant that a loop counts up to; 1 if it has none."""
    import tensorflow as tf

    limits = [
        tf.get_static_value(op.inputs[1])
        for op in condition.get_operations()
        if op.type == "Less" and op.inputs[1].op.type == "Const"
    ]
    return min((int(limit) for limit in limits), default=1)
