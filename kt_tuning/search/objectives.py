"""Objectives: their directions, and the scores of trials."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.metrics_tracking import infer_metric_direction
from keras_tuner.engine.trial import Trial

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.evaluation import METRICS
from kt_tuning.trials import COSTS

Objectives = Any
"""The name of an objective, a `keras_tuner.Objective`, or a sequence of these."""
MORE_IS_BETTER = {
    *("binary_io_u", "io_u", "mean_io_u", "one_hot_io_u", "one_hot_mean_io_u"),
    *("concordance_correlation", "pearson_correlation", "r2_score", "f1_score", "fbeta_score"),
    *("precision_at_recall", "recall_at_precision"),
    *("sensitivity_at_specificity", "specificity_at_sensitivity"),
}
"""Metrics of Keras that KerasTuner 1.4.8 minimises, does not know, or fails on."""


def find_objectives(objective: Objectives) -> list[keras_tuner.Objective]:
    """Return KerasTuner's objectives for names in `METRICS` ("val_…"), `COSTS`, or of Keras.

    Raises:
        OptionError: if the direction of one is unknown, or the first is a cost.
    """
    several = isinstance(objective, Sequence) and not isinstance(objective, str)
    names = objective if several else [objective]
    found = [_objective(name) for name in names]
    if not found or found[0].name in COSTS:
        raise OptionError(
            "The first objective is how good a model is, such as val_accuracy; it selects the best "
            f"epoch. Received: {objective!r}"
        )
    return found


def _objective(objective: str | keras_tuner.Objective) -> keras_tuner.Objective:
    if isinstance(objective, keras_tuner.Objective):
        return objective
    if not isinstance(objective, str):
        raise OptionError(
            "`objective` should be the name of a metric, a keras_tuner.Objective, or a list of "
            f"these. Received: {objective!r}"
        )
    try:
        # Keras logs further metrics, such as the training loss.
        plain = keras_tuner.Oracle(objective=objective).objective
    except (ValueError, TypeError):
        plain = None
    known = ("val_loss", *(f"val_{name}" for name in METRICS), *COSTS)
    if plain is None or objective in known:
        hint = "for a metric of your own pass keras_tuner.Objective(name, direction)"
        objective = find_name(objective, known, "objective", hint=hint)
    direction = metric_direction(objective)
    return plain if direction is None else keras_tuner.Objective(objective, direction)


def metric_direction(name: str) -> str | None:
    """Return "max" if more of a metric is better, "min" if less is, None if that is not known.

    Args:
        name: A name in `METRICS` or `COSTS`, or a metric of Keras, as logged: with "val_" in front
            for the validation data, and the number that Keras appends to a name that it has given
            before ("auc_1").
    """
    if name in COSTS:
        return "min"
    plain = name.removeprefix("val_")
    for known in (plain, re.sub(r"_\d+$", "", plain)):
        if known in METRICS:
            return METRICS[known].direction
        if known in MORE_IS_BETTER:
            return "max"
        if (inferred := infer_metric_direction(known)) is not None:
            return str(inferred)
    return None


def register_metrics(
    trial: Trial, names: Iterable[str], objectives: Sequence[keras_tuner.Objective]
) -> None:
    """Register metrics of a trial with their directions.

    Directions of the objectives count before those of `metric_direction`. KerasTuner minimises
    metrics whose direction it cannot infer.
    """
    asked = {objective.name: objective.direction for objective in objectives}
    for name in names:
        if not trial.metrics.exists(name):
            trial.metrics.register(name, direction=asked.get(name) or metric_direction(name))


def objectives_of(objective: keras_tuner.Objective) -> list[keras_tuner.Objective]:
    """Return the parts of a multi-objective, or the objective itself in a list."""
    return list(getattr(objective, "objectives", [objective]))


def measure(
    trial: Trial,
    metrics: Mapping[str, float],
    step: int,
    objectives: Sequence[keras_tuner.Objective],
) -> None:
    """Add the metrics of an epoch (`step`) to a trial.

    Raises:
        OptionError: if an objective is missing.
    """
    missing = sorted({objective.name for objective in objectives} - metrics.keys())
    if missing:
        raise OptionError(
            f"A trial should measure its objective. Missing: {', '.join(missing)}; received: "
            f"{', '.join(metrics)}"
        )
    register_metrics(trial, metrics, objectives)
    for name, value in metrics.items():
        trial.metrics.update(name, value, step=step)


def metrics_at_best(trial: Trial) -> dict[str, float]:
    """Return the metrics of a trial at its best step, or their best values."""
    found = {}
    for name, tracked in trial.metrics.metrics.items():
        steps = (one.mean() for one in tracked.get_history() if one.step == trial.best_step)
        if (value := next(steps, tracked.get_best_value())) is not None:
            found[name] = float(value)
    return found


def score(trial: Trial, objective: keras_tuner.Objective) -> str | None:
    """Set a trial's score to its best value; of several objectives, to KerasTuner's sum of them.

    Args:
        trial: Has measured each objective at the same steps; if it did not, the score is None.
        objective: A multi-objective is the sum of minimised metrics less maximised ones.

    Returns:
        Why the score is no number; None if it is one.
    """
    trial.score = None
    names = [one.name for one in objectives_of(objective)]
    if missing := [name for name in names if not trial.metrics.exists(name)]:
        return f"measured no {', '.join(missing)}"
    if not hasattr(objective, "objectives"):
        trial.score = trial.metrics.get_best_value(objective.name)
        trial.best_step = trial.metrics.get_best_step(objective.name)
    else:
        histories = {name: trial.metrics.get_history(name) for name in names}
        sums: dict[int, float] = {}
        for observations in zip(*histories.values(), strict=True):
            means = dict(zip(histories, (one.mean() for one in observations), strict=True))
            sums[observations[0].step] = float(objective.get_value(means))
        trial.best_step = min(sums, key=lambda step: sums[step])
        trial.score = sums[trial.best_step]
    return None if math.isfinite(trial.score) else f"{objective.name} became {trial.score}"


def objective_values(trial: Trial, objectives: Sequence[keras_tuner.Objective]) -> list[float]:
    """A completed trial's value of each objective, at its best step."""
    if len(objectives) == 1:
        return [float(trial.score)]
    histories = [trial.metrics.get_history(objective.name) for objective in objectives]
    return [
        float(next(one.mean() for one in history if one.step == trial.best_step))
        for history in histories
    ]
