"""Covering the space: grid search and quasi-Monte Carlo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values
from kt_tuning.search.samplers.base import RelativeSampler, from_unit, seen_space, value_count

POINTS = 10
"""Values of a range without a step, as in KerasTuner's grid."""


def grid_values(distribution: BaseDistribution) -> Iterator[Any]:
    """Yield the grid's values of a distribution, lowest first; there may be billions."""
    # On a logarithmic scale, the lower integers have the larger shares.
    logarithmic = getattr(distribution, "log", False)
    count = POINTS if logarithmic else value_count(distribution) or POINTS
    spread = (from_unit(distribution, (index + 0.5) / count) for index in range(count))
    # Equal ones, of logarithmic integers, follow each other.
    yield from (value for value, _ in itertools.groupby(spread))


def grid(space: SearchSpace, fixed: Mapping[str, Value]) -> Iterator[Values]:
    """Yield every configuration of a grid, the values of the last hyperparameter first.

    Args:
        space: Conditional hyperparameters are there where their conditions hold.
        fixed: Values of some hyperparameters, which need not be on the grid.
    """

    def completed(values: Values, left: Sequence[Parameter]) -> Iterator[Values]:
        for number, parameter in enumerate(left, 1):
            name, distribution = parameter.hp.name, parameter.distribution
            if name in values or not parameter.is_active(values):
                continue
            choices: Iterable[Value]
            if name in fixed:
                choices = [fixed[name]]
            elif distribution is None:
                choices = [parameter.hp.default]
            else:
                choices = map(parameter.to_keras, grid_values(distribution))
            for choice in choices:
                yield from completed({**values, name: choice}, left[number:])
            return
        yield values

    yield from completed({}, space.parameters)


DIMENSIONS = 64
"""Dimensions of the sequence, or a multiple: a new parameter does not change the others."""


class QuasiMonteCarloSampler(RelativeSampler):
    """Draws from a scrambled Sobol sequence: one dimension per parameter, one point per trial.

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
