"""Draws near the defaults or the best trial until there are enough trials for a model."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from kt_tuning.search.samplers.base import FINISHED, RelativeSampler, nearby, scored

ENOUGH = 10
"""Trials with a score; with fewer TPE draws at random."""
NEAR = 2 / 3
"""Share of the draws near an earlier trial until then; the others are random."""
CHANGED = 0.25
"""Share of the parameters that are changed in such a draw."""


class PriorBandSampler(RelativeSampler):
    """Uses the defaults as a prior, after PriorBand (Mallik et al. 2023, arXiv:2306.12370).

    Random configurations of a large space are rarely good, and a short search has few trials. At
    first two of three configurations change some parameters of the defaults, or of the best trial
    so far; the others are random, in case the defaults are bad.

    Args:
        seed: Equal seeds give equal draws.
        later: Sampler that draws once there are enough trials.
    """

    def __init__(self, seed: int, later: BaseSampler) -> None:
        super().__init__(seed)
        self._later = later
        self._anchor: FrozenTrial | None = None
        self._learns = False

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters of the trial that is changed, or those of the later sampler."""
        known = scored(study.get_trials(deepcopy=False, states=FINISHED))
        self._learns = len(known) >= ENOUGH
        if self._learns:
            return self._later.infer_relative_search_space(study, trial)
        self._anchor = self._chosen(study, known)
        if self._anchor is None:
            return {}
        space = self._anchor.distributions
        return {name: space[name] for name in space if not space[name].single()}

    def _chosen(self, study: Study, known: list[FrozenTrial]) -> FrozenTrial | None:
        """Return the best trial, else the first (the defaults); None for a random draw."""
        if self._rng.random() >= NEAR:
            return None
        if not known or len(study.directions) > 1:
            return next((t for t in study.get_trials(deepcopy=False) if t.params), None)
        best = max if study.directions[0] == StudyDirection.MAXIMIZE else min
        values = [t.values[0] if t.values else best(t.intermediate_values.values()) for t in known]
        return known[values.index(best(values))]

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of that trial, some of them changed."""
        if self._learns:
            return self._later.sample_relative(study, trial, search_space)
        if self._anchor is None:
            return {}
        return {
            name: nearby(self._rng, distribution, self._anchor.params[name])
            if self._rng.random() < CHANGED
            else self._anchor.params[name]
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter uniformly, or by the later sampler."""
        if self._learns:
            return self._later.sample_independent(study, trial, param_name, param_distribution)
        return super().sample_independent(study, trial, param_name, param_distribution)
