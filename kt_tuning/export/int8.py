"""LiteRT in eight bits, where that saves something."""

from __future__ import annotations

import csv
import io
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.quiet import ignored_warnings

WEIGHED = {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
"""Operations that take nearly all of the time and of the weights."""


def quantize(converter: Any, examples: NDArray[np.uint8]) -> bytes:
    """Convert convolutions and dense layers to int8, weights and activations.

    All else stays in float32: sums, pooling, softmax and logarithms gain next to nothing and add
    a rounding each. So does the layer before a softmax, whose steps would be seen in the
    probabilities: it is small, and where two classes are close it decides.

    Args:
        converter: A `tf.lite.TFLiteConverter`.
        examples: uint8 (N, height, width, channels); the range of each activation is that on them.
    """
    import tensorflow as tf

    def one_by_one() -> Any:
        for index in range(len(examples)):
            yield [examples[index : index + 1]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = one_by_one
    # It is the debugger that can tell the converter to leave operations as they are.
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: [[examples[:1]]]
    )
    operations = _operations(debugger)
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=sorted({kind for kind, _ in operations} - WEIGHED),
        denylisted_nodes=[
            name
            for (kind, name), (following, _) in itertools.pairwise(operations)
            if kind in WEIGHED and following == "SOFTMAX"
        ],
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _operations(debugger: Any) -> list[tuple[str, str]]:
    """Kind and name of all operations that would be quantized, in their order."""
    # Its statistics, which are not used here, take the logarithm of 0.
    with ignored_warnings(RuntimeWarning):
        debugger.run()
    file = io.StringIO()
    debugger.layer_statistics_dump(file)
    file.seek(0)
    return [(row["op_name"], row["tensor_name"]) for row in csv.DictReader(file)]
