"""What a model costs, as objectives beside how good it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np

from kt_tuning.evaluation import count_flops, measure_latency


def _latency(model: keras.Model) -> float:
    """Median of 100 predictions of one image, in milliseconds."""
    image = np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype)
    return measure_latency(model.predict_on_batch, image)["p50"]


COSTS: dict[str, Callable[[keras.Model], float]] = {
    "parameters": lambda model: float(model.count_params()),
    "flops": lambda model: float(count_flops(model)),
    "latency": _latency,
}
"""Name -> what one prediction costs; the less the better. Latency is noisy beside other trials."""


def measure_costs(model: keras.Model, names: Iterable[str]) -> dict[str, float]:
    """The costs among `names`."""
    return {name: COSTS[name](model) for name in names if name in COSTS}
