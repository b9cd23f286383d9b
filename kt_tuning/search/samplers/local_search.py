"""Local search: perturbations of one trial."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from kt_tuning.search.samplers.base import RelativeSampler, nearby
from kt_tuning.search.samplers.positions import from_unit, to_unit

REACH = 0.05
"""Standard deviation of a change as a share of the range; small enough to keep the score."""


class PerturbationSampler(RelativeSampler):
    """Perturbs all numbers of a trial and keeps its other values; changes at least one value.

    It is the "perturb" of population based training (Jaderberg et al. 2017, arXiv:1711.09846,
    section 3).

    Args:
        seed: Equal seeds give equal draws.
        number: Number of the trial in the study.
    """

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(seed)
        self._number = number

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters of that trial."""
        space = self._anchor(study).distributions
        return {name: space[name] for name in space if not space[name].single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return its values, perturbed."""
        before = self._anchor(study).params
        drawn = {name: before[name] for name in search_space}
        numbers = [
            name
            for name, distribution in search_space.items()
            if not isinstance(distribution, CategoricalDistribution)
        ]
        for name in numbers:
            position = to_unit(search_space[name], drawn[name]) + REACH * self._rng.normal()
            drawn[name] = from_unit(search_space[name], min(max(position, 0.0), 1.0 - 1e-12))
        names = numbers or list(drawn)
        if names and all(drawn[name] == before[name] for name in names):
            name = names[self._rng.integers(len(names))]
            drawn[name] = nearby(self._rng, search_space[name], drawn[name])
        return drawn

    def _anchor(self, study: Study) -> FrozenTrial:
        return next(t for t in study.get_trials(deepcopy=False) if t.number == self._number)
