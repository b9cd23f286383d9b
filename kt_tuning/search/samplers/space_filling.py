"""Samplers that cover the space: grid search and quasi-Monte Carlo."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from kt_tuning.search.samplers.base import RelativeSampler, from_unit, seen_space, value_count

POINTS = 10
"""Values of a range without a step, as in KerasTuner's grid."""

Path = list[tuple[str, Any, BaseDistribution]]
"""A configuration, or its first parameters: (name, value, range) in the order of drawing."""


class GridSampler(RandomSampler):
    """Draws the first configuration in the order of the space that no trial has had.

    Like those of a random sampler, parameters are drawn one by one: a conditional space is a tree
    whose branches are known from the trials that took them. When nothing is left, a configuration
    is repeated, which ends the search.
    """

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Read the other trials once for all parameters."""
        others = study.get_trials(deepcopy=False)
        self._alike = [_path(other) for other in others if other.number != trial.number]
        self._depth = 0

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the first value with an untried configuration below it."""
        values = grid_values(param_distribution)
        begun = _path(trial)
        self._alike = [
            path for path in self._alike if path[self._depth : len(begun)] == begun[self._depth :]
        ]
        self._depth = len(begun)
        branches = _branches(self._alike, param_name, self._depth)
        for value in values:
            if _anything_left(branches[value], self._depth + 1):
                return value
        return values[0]


def grid_values(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Return the grid's values of a distribution, lowest first."""
    # On a logarithmic scale, the lower integers have the larger shares.
    logarithmic = getattr(distribution, "log", False)
    count = POINTS if logarithmic else value_count(distribution) or POINTS
    spread = (from_unit(distribution, (index + 0.5) / count) for index in range(count))
    return tuple(dict.fromkeys(spread))


def _path(trial: FrozenTrial) -> Path:
    return [
        (name, value, trial.distributions[name])
        for name, value in trial.params.items()
        if not trial.distributions[name].single()
    ]


def _branches(paths: list[Path], name: str, depth: int) -> dict[Any, list[Path]]:
    """Return the paths with this parameter at this depth, by its value."""
    branches = defaultdict(list)
    for path in paths:
        if len(path) > depth and path[depth][0] == name:
            branches[path[depth][1]].append(path)
    return branches


def _anything_left(paths: list[Path], depth: int) -> bool:
    """Whether a configuration is untried below a node; `paths` share the first `depth` values."""
    if not paths:
        return True
    deeper = next((path for path in paths if len(path) > depth), None)
    if deeper is None:
        return False
    name, _, distribution = deeper[depth]
    branches = _branches(paths, name, depth)
    return any(_anything_left(branches[v], depth + 1) for v in grid_values(distribution))


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
