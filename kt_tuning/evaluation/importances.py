"""Importances of hyperparameters, by PED-ANOVA."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kt_tuning.core.quiet import ignored_warnings, quiet_optuna

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

GOOD = 0.3
"""Share of the trials that are told from the rest.

In simulated searches of 30 to 200 trials it found more of what matters than Optuna's 0.1 did.
"""
BOOKKEEPING = "tuner/"
"""Prefix of the values that KerasTuner's Hyperband keeps among the hyperparameters."""
LOG_RATIO = 50
"""Ratio of the largest to the smallest positive value from which their logarithms count."""

ScoredTrial = tuple[Mapping[str, Any], float]
"""A trial's hyperparameter values by name, and its finite score."""


def hyperparameter_importances(
    trials: Sequence[ScoredTrial], *, maximise: bool
) -> dict[str, float]:
    """Measure how well each hyperparameter alone tells the best 30% of the trials from all.

    By PED-ANOVA over the ranges that were tried. It draws nothing: the same trials in any process
    have the same importances. Of few trials it says little.

    Args:
        trials: In the order of their numbers; a hyperparameter that a trial lacks was inactive.
        maximise: Whether a higher score is better.

    Returns:
        Hyperparameter -> share, the largest first; they sum to 1. Those that do not vary are left
        out; empty if none does.

    Source: Watanabe, Bansal and Hutter (2023), "PED-ANOVA: efficiently quantifying hyperparameter
    importance in arbitrary subspaces", https://arxiv.org/abs/2304.10255.
    """
    spaces = _distributions(trials)
    if not spaces:
        return {}
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    with quiet_optuna(logging.ERROR), ignored_warnings():
        study = optuna.create_study(direction="maximize" if maximise else "minimize")
        study.add_trials([_frozen(values, score, spaces) for values, score in trials])
        # Optuna before 4.7 has another name for it, and before 5 compares only trials that have all
        # parameters: hence one at a time.
        known = inspect.signature(PedAnovaImportanceEvaluator).parameters
        names = known.keys() & {"target_quantile", "baseline_quantile"}
        options: dict[str, Any] = dict.fromkeys(names, GOOD)
        evaluator = PedAnovaImportanceEvaluator(**options)
        found = {name: evaluator.evaluate(study, params=[name])[name] for name in spaces}
    total = sum(found.values())
    shares = {name: each / total if total else 1 / len(found) for name, each in found.items()}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _distributions(trials: Sequence[ScoredTrial]) -> dict[str, BaseDistribution]:
    """Return where the values of each hyperparameter that varies lie."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values: dict[str, list[Any]] = {}
    for configuration, _ in trials:
        for name, value in configuration.items():
            if not name.startswith(BOOKKEEPING):
                values.setdefault(name, []).append(value)
    spaces: dict[str, BaseDistribution] = {}
    for name, seen in sorted(values.items()):
        if all(_is_number(value) for value in seen):
            low, high = float(min(seen)), float(max(seen))
            if low < high:
                log = low > 0 and high >= LOG_RATIO * low
                spaces[name] = FloatDistribution(low, high, log=log)
        elif len(names := sorted({str(value) for value in seen})) > 1:
            spaces[name] = CategoricalDistribution(names)
    return spaces


def _frozen(
    values: Mapping[str, Any], score: float, spaces: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    import optuna
    from optuna.distributions import CategoricalDistribution

    active = {name: space for name, space in spaces.items() if name in values}
    categorical = {n for n, space in active.items() if isinstance(space, CategoricalDistribution)}
    return optuna.create_trial(
        params={n: str(values[n]) if n in categorical else float(values[n]) for n in active},
        distributions=active,
        value=score,
    )


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)
