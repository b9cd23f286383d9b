"""How much a model computes for one image."""

from __future__ import annotations

import dataclasses
from typing import Any

from kt_tuning.core.errors import OptionError


@dataclasses.dataclass(frozen=True)
class Complexity:
    """Arithmetic of one prediction for one image.

    Attributes:
        multiply_adds: Of convolutions and matrix products; what papers call "FLOPs" or "MACs".
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

    from kt_tuning.evaluation.graph_cost import graph_cost

    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    return Complexity(*graph_cost(forward.get_concrete_function(spec).graph))


def count_flops(model: Any) -> int:
    """Floating-point operations of one prediction for one image; a multiply-add counts as two.

    Args:
        model: A built Keras model with one input.

    Raises:
        OptionError: if the Keras backend is not TensorFlow.
    """
    return measure_complexity(model).flops
