"""How much a model computes."""

from __future__ import annotations

import math
from typing import Any

from kt_tuning.errors import OptionError


def count_flops(model: Any) -> int:
    """Floating-point operations of one prediction for one image; a multiply-add counts as two.

    Counted on TensorFlow's graph of the forward pass: convolutions, matrix products, einsums (as
    attention uses them) and element-wise arithmetic. What runs in a loop, as in a recurrent
    layer, counts once.

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

    profiler = tf.compat.v1.profiler
    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    graph = forward.get_concrete_function(spec).graph
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    known = profiler.profile(graph, options=options.with_empty_output().build())
    einsums = sum(_einsum(op) for op in graph.get_operations() if op.type == "Einsum")
    return int(known.total_float_ops) + einsums


def _einsum(operation: Any) -> int:
    """Two operations for each combination of indices; TensorFlow's profiler knows none."""
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        sizes.update(zip(term, tensor.shape.as_list(), strict=True))
    return 2 * math.prod(sizes.values())
