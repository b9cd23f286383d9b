"""Quasi-Monte Carlo: points that fill the space more evenly than random ones."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from kt_tuning.search.samplers.base import RelativeSampler, seen_space
from kt_tuning.search.samplers.positions import from_unit

DIMENSIONS = 64
"""Dimensions of the sequence, or a multiple: a new parameter does not change the others."""


class QuasiMonteCarloSampler(RelativeSampler):
    """Draws from a scrambled Sobol sequence: one dimension a parameter, one point a trial.

    Parameters take dimensions in the order of their appearance, in any branch of the space. Unlike
    Optuna's sampler it thus covers conditional spaces.

    Args:
        seed: Seed of the search, whose trials are points of one sequence.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter seen so far; a new one is drawn at random once."""
        return seen_space(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the point of this trial."""
        blocks = -(-len(search_space) // DIMENSIONS) or 1
        sequence = qmc.Sobol(blocks * DIMENSIONS, seed=self._seed)
        if trial.number:
            sequence.fast_forward(trial.number)
        point = sequence.random(1)[0]
        return {
            name: from_unit(distribution, position)
            for (name, distribution), position in zip(search_space.items(), point, strict=False)
        }
