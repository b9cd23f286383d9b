"""The base class of samplers that draw all parameters together."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.search.samplers.positions import from_unit, to_unit

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials whose results samplers use."""
REACH = 0.15
"""Standard deviation of a change as a share of the range, for ordered parameters."""
RETRIES = 20
"""Draws until a value differs."""


class RelativeSampler(BaseSampler):
    """Draws parameters that a subclass does not model uniformly.

    Args:
        seed: Equal seeds give equal draws.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter uniformly."""
        return from_unit(param_distribution, self._rng.random())


def seen_space(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return every parameter of any trial with its newest range."""
    space: dict[str, BaseDistribution] = {}
    for trial in trials:
        space.update(trial.distributions)
    return {name: space[name] for name in space if not space[name].single()}


def scored(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials with a value that are within every limit."""
    return [
        trial
        for trial in trials
        if (trial.values or trial.intermediate_values)
        and not any(violation > 0 for violation in trial.constraints.values())
    ]


def nearby(rng: np.random.Generator, distribution: BaseDistribution, value: Any) -> Any:
    """Draw another category, or a close value of an ordered parameter."""
    for _ in range(RETRIES):
        if isinstance(distribution, CategoricalDistribution):
            position = rng.random()
        else:
            position = to_unit(distribution, value) + REACH * rng.standard_normal()
        changed = from_unit(distribution, min(max(position, 0.0), 1.0 - 1e-12))
        if changed != value:
            return changed
    return value
