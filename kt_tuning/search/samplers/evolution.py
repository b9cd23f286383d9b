"""Regularized evolution: mutate a good recent trial, let old ones die."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from kt_tuning.search.samplers.positions import from_unit, to_unit
from kt_tuning.search.samplers.relative import FINISHED, RelativeSampler, seen_space

POPULATION = 25
"""Trials alive: the newest finished ones. Half of them are drawn at random to begin with."""
TOURNAMENT = 10
"""Of the living, drawn at random; the best of them is the parent."""
REACH = 0.15
"""Standard deviation of a mutation, as a share of the range of a parameter that has an order."""
RETRIES = 20
"""Mutations tried until one changes the value."""


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
        scored = [
            t for t in finished if t.values and not any(v > 0 for v in t.constraints.values())
        ]
        alive = scored[-POPULATION:]
        if len(finished) < POPULATION // 2 or not alive:
            return {}
        chosen = self._rng.choice(len(alive), min(TOURNAMENT, len(alive)), replace=False)
        objective = int(self._rng.integers(len(study.directions)))
        sign = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
        parent = min((alive[i] for i in chosen), key=lambda t: sign * t.values[objective])
        child = {name: parent.params[name] for name in search_space if name in parent.params}
        if child:
            mutated = list(child)[self._rng.integers(len(child))]
            child[mutated] = self._mutate(search_space[mutated], child[mutated])
        return child

    def _mutate(self, distribution: BaseDistribution, value: Any) -> Any:
        """Another category; or, where values have an order, one nearby."""
        for _ in range(RETRIES):
            if isinstance(distribution, CategoricalDistribution):
                position = self._rng.random()
            else:
                position = to_unit(distribution, value) + REACH * self._rng.standard_normal()
            mutant = from_unit(distribution, min(max(position, 0.0), 1.0 - 1e-12))
            if mutant != value:
                return mutant
        return value
