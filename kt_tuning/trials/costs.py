"""Costs of a model: further objectives, or limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from kt_tuning.evaluation import count_flops, measure_latency
from kt_tuning.trials.spec import InfeasibleError


def _latency(model: keras.Model) -> float:
    """Return the median of 100 predictions of one image in milliseconds."""
    image = np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype)
    return measure_latency(model.predict_on_batch, image)["p50"]


COSTS: dict[str, Callable[[keras.Model], float]] = {
    "parameters": lambda model: float(model.count_params()),
    "flops": lambda model: float(count_flops(model)),
    "latency": _latency,
}
"""Cost of one prediction by name; lower is better. Other trials make latency noisy."""

AMOUNTS = {
    "parameters": "Oversized model: {:,.0f} parameters",
    "flops": "{:,.0f} FLOPs an image",
    "latency": "{:.3g} ms an image",
}
"""Format of each cost in messages."""


def measure_costs(model: keras.Model, names: Iterable[str]) -> dict[str, float]:
    """Return the costs among `names`."""
    return {name: COSTS[name](model) for name in names if name in COSTS}


def check_costs(model: keras.Model, limits: Mapping[str, float]) -> None:
    """Refuse a model that is over a limit before it is trained.

    Args:
        model: A model that is not built yet is accepted.
        limits: Upper limits by name in `COSTS`.

    Raises:
        InfeasibleError: if a cost is higher.
    """
    if not model.built:
        return
    for name, limit in limits.items():
        cost = COSTS[name](model)
        if cost > limit:
            amount = AMOUNTS[name].format(cost)
            raise InfeasibleError(f"{amount}, more than max_{name}={limit:,}")
