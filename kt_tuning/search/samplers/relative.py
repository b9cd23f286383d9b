"""What samplers share that draw parameters together."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.search.samplers.positions import from_unit

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""Trials that say something about their configuration."""


class RelativeSampler(BaseSampler):
    """Draws uniformly what a subclass does not know yet.

    Args:
        seed: Same seed, same draws.
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
    """Every parameter of any trial, with its newest range."""
    space: dict[str, BaseDistribution] = {}
    for trial in trials:
        space.update(trial.distributions)
    return {name: space[name] for name in space if not space[name].single()}
