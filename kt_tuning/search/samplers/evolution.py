"""Regularized evolution: mutate a good recent trial, let old ones die."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from kt_tuning.search.samplers.base import (
    FINISHED,
    RelativeSampler,
    nearby,
    scored,
    seen_space,
)

POPULATION = 25
"""Trials alive: the newest finished ones. Half of them are drawn at random to begin with."""
TOURNAMENT = 10
"""Of the living, drawn at random; the best of them is the parent."""


class EvolutionSampler(RelativeSampler):
    """Tournament, one mutation, and death by age (Real et al. 2019, arXiv:1802.01548).

    Age, not rank, ends a life: a configuration that was lucky once does not stay for good.

    Args:
        seed: Same seed, same draws.
    """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every parameter seen so far; a child inherits those that its parent has."""
        return seen_space(study.get_trials(deepcopy=False, states=FINISHED))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parent's parameters with one of them changed."""
        finished = study.get_trials(deepcopy=False, states=FINISHED)
        alive = [t for t in scored(finished) if t.values][-POPULATION:]
        if len(finished) < POPULATION // 2 or not alive:
            return {}
        chosen = self._rng.choice(len(alive), min(TOURNAMENT, len(alive)), replace=False)
        objective = int(self._rng.integers(len(study.directions)))
        sign = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
        parent = min((alive[i] for i in chosen), key=lambda t: sign * t.values[objective])
        child = {name: parent.params[name] for name in search_space if name in parent.params}
        if child:
            mutated = list(child)[self._rng.integers(len(child))]
            child[mutated] = nearby(self._rng, search_space[mutated], child[mutated])
        return child
