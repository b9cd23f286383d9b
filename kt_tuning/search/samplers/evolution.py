"""Regularized evolution: mutate a good trial of the most recent ones."""

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
"""Newest finished trials that may be parents; half as many are drawn at random at first."""
TOURNAMENT = 10
"""Trials of the population that are drawn at random; the best of them is the parent."""


class EvolutionSampler(RelativeSampler):
    """Tournament selection, one mutation, removal by age (Real et al. 2019, arXiv:1802.01548).

    Removal by age, not by rank, discards configurations whose score was lucky.

    Args:
        seed: Equal seeds give equal draws.
    """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter seen so far; a child inherits those that its parent has."""
        return seen_space(study.get_trials(deepcopy=False, states=FINISHED))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parent's parameters with one of them changed."""
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
