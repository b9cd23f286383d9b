"""One objective or several: scores of trials, and the ones that no other beats."""

from __future__ import annotations

from collections.abc import Sequence

import keras_tuner
from keras_tuner.engine.trial import Trial

from kt_tuning.records import TrialRecord


def best_sum(trial: Trial, objective: keras_tuner.Objective) -> tuple[int, float]:
    """The step at which KerasTuner's sum of several objectives is lowest, and that sum.

    Args:
        trial: Has measured each of them at the same steps.
        objective: A multi-objective: it adds what is minimised and subtracts the rest.
    """
    histories = {o.name: trial.metrics.get_history(o.name) for o in objective.objectives}
    sums: dict[int, float] = {}
    for observations in zip(*histories.values(), strict=True):
        means = dict(zip(histories, (one.mean() for one in observations), strict=True))
        sums[observations[0].step] = float(objective.get_value(means))
    best = min(sums, key=lambda step: sums[step])
    return best, sums[best]


def objective_values(trial: Trial, objectives: Sequence[keras_tuner.Objective]) -> list[float]:
    """A completed trial's value of each objective, at its best step."""
    if len(objectives) == 1:
        return [float(trial.score)]
    histories = [trial.metrics.get_history(objective.name) for objective in objectives]
    return [
        float(next(one.mean() for one in history if one.step == trial.best_step))
        for history in histories
    ]


def pareto_front(
    trials: Sequence[Trial], objectives: Sequence[keras_tuner.Objective]
) -> list[Trial]:
    """The completed trials that no other one beats in every objective, in their order."""
    front = _undominated([objective_values(trial, objectives) for trial in trials], objectives)
    return [trials[index] for index in front]


def pareto_records(
    records: Sequence[TrialRecord], objectives: Sequence[keras_tuner.Objective]
) -> list[TrialRecord]:
    """The same of what trials left on disk; one that lacks an objective is left out."""
    names = [objective.name for objective in objectives]
    whole = [record for record in records if record.metrics.keys() >= set(names)]
    values = [[record.metrics[name] for name in names] for record in whole]
    return [whole[index] for index in _undominated(values, objectives)]


def _undominated(
    values: Sequence[Sequence[float]], objectives: Sequence[keras_tuner.Objective]
) -> list[int]:
    """The rows that no other one dominates: nowhere worse and somewhere better."""
    signs = [-1.0 if objective.direction == "max" else 1.0 for objective in objectives]
    costs = [[sign * v for sign, v in zip(signs, row, strict=True)] for row in values]
    return [
        index
        for index, cost in enumerate(costs)
        if not any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
            for other in costs
        )
    ]
