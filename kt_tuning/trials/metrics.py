"""Metrics of a trial: from the result of its training, and costs of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.src.engine.tuner_utils import (
    convert_to_metrics_dict,
    get_best_step,
    validate_trial_results,
)

from kt_tuning.core.errors import SearchError
from kt_tuning.evaluation import measure_complexity, measure_latency
from kt_tuning.trials.spec import InfeasibleError


def _latency(model: keras.Model) -> float:
    """Return the median of 100 predictions of one image in milliseconds."""
    image = np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype)
    return measure_latency(model.predict_on_batch, image)["p50"]


COSTS: dict[str, Callable[[keras.Model], float]] = {
    "parameters": lambda model: float(model.count_params()),
    "flops": lambda model: float(measure_complexity(model).flops),
    "latency": _latency,
}
"""Cost of one prediction by name; lower is better. Other trials make latency noisy."""

AMOUNTS = {
    "parameters": "Oversized model: {:,.0f} parameters",
    "flops": "{:,.0f} FLOPs per image",
    "latency": "{:.3g} ms per image",
}
"""Format of each cost in messages."""


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


def metrics_of(result: Any, objective: keras_tuner.Objective, source: str) -> dict[str, float]:
    """Convert the result of a training to metrics, by KerasTuner's rules.

    A number is the value of the objective, a dict holds it by its name, of a
    `keras.callbacks.History` the best epoch counts, and a list is averaged.

    Args:
        result: What was returned.
        objective: What is optimised.
        source: What returned it, for messages: "HyperModel.fit()".

    Raises:
        keras_tuner.errors.FatalError: if the result is of another type, or lacks the objective.
        SearchError: if a History lacks the objective.
    """
    validate_trial_results(result, objective, source)
    try:
        metrics = convert_to_metrics_dict(result, objective)
    except KeyError:
        results = result if isinstance(result, list) else [result]
        logs = [one.history for one in results if isinstance(one, keras.callbacks.History)]
        raise unknown_objective(objective, logs[0] if logs else {}) from None
    found = {name: scalar(value) for name, value in metrics.items()}
    if objective.has_value(found):
        # A sum of several objectives has a name of its own.
        found.setdefault(objective.name, scalar(objective.get_value(found)))
    return found


def best_epoch_of(result: Any, objective: keras_tuner.Objective) -> int:
    """Index of the best epoch of a History; the mean over a list; 0 of anything else."""
    return int(get_best_step(result, objective))


def scalar(value: Any) -> float:
    """A metric as a number; of a vector metric, such as F1 for each class, the mean."""
    return float(np.mean(keras.ops.convert_to_numpy(value)))


def unknown_objective(objective: keras_tuner.Objective, logs: Mapping[str, Any]) -> SearchError:
    """The error for an objective that training does not measure."""
    return SearchError(
        f"The objective {objective.name!r} is not among what training measures: "
        f"{', '.join(sorted(logs))}. Pass another `objective`, or `validation_data`."
    )
