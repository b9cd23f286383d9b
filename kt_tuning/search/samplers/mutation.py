"""Samplers that change an earlier trial: evolution, PriorBand, perturbation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial

from kt_tuning.search.samplers.base import FINISHED, RelativeSampler, from_unit, seen_space, to_unit
from kt_tuning.search.study.trial_states import is_infeasible

REACH = 0.15
"""Standard deviation of a change as a share of the range, for ordered parameters."""
RETRIES = 20
"""Draws until a value differs."""
POPULATION = 25
"""Newest finished trials that may be parents; half as many are drawn at random at first."""
TOURNAMENT = 10
"""Trials of the population that are drawn at random; the best of them is the parent."""


def scored(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials with a value that are within every limit."""
    return [
        trial
        for trial in trials
        if (trial.values or trial.intermediate_values) and not is_infeasible(trial)
    ]


def nearby(rng: np.random.Generator, distribution: BaseDistribution, value: Any) -> Any:
    """Draw another category, or a close value of an ordered parameter."""
    for _ in range(RETRIES):
        if isinstance(distribution, CategoricalDistribution):
            position = rng.random()
        else:
            position = to_unit(distribution, value) + REACH * rng.standard_normal()
        changed = from_unit(distribution, position)
        if changed != value:
            return changed
    return value


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


ENOUGH = 25
"""Trials with a score from which TPE draws; it learns little from fewer of a large space."""
RANDOM, RANDOM_PARAMETERS = 1 / 3, 3
"""Largest share of random draws until then, and that share times the number of parameters: of many
parameters, random values are hardly ever good together."""
CHANGED = 0.25
"""Largest probability of each parameter but one to be changed in such a draw. Of many parameters
two are changed on average. Of 26 draws for CIFAR-10 that differed in 5 or more parameters from the
defaults of `ConvNet`, one reached their accuracy after as many epochs."""


class PriorBandSampler(RelativeSampler):
    """Uses the defaults as a prior, after PriorBand (Mallik et al. 2023, arXiv:2306.12370).

    Random configurations of a large space are rarely good, and a short search has few trials. At
    first most configurations change a few parameters of the defaults, or of the best trial so far;
    the others, a third or with n > 9 parameters 3/n, are random, in case the defaults are bad. A
    parameter that only the changed
    configuration has, such as the learning rate of another optimizer, should get its default, which
    no sampler knows: see `near`.

    Args:
        seed: Equal seeds give equal draws.
        later: Sampler that draws once there are enough trials.

    Attributes:
        given: Values by name that the configuration will have in any case. The best of the trials
            that have them is changed, if there are any.
    """

    def __init__(self, seed: int, later: BaseSampler) -> None:
        super().__init__(seed)
        self.given: Mapping[str, Any] = {}
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
        anchor = self._best(study, known)
        if anchor is None or not anchor.distributions:
            return {}
        share = min(RANDOM, RANDOM_PARAMETERS / len(anchor.distributions))
        self._anchor = anchor if self._rng.random() >= share else None
        return {} if self._anchor is None else seen_space([self._anchor])

    def near(self, trial: Trial) -> Collection[str] | None:
        """Return the parameters of the earlier trial that a trial changes; None if it changes none.

        Args:
            trial: The new trial of a study with this sampler, which has made no other one.
        """
        trial.relative_params  # noqa: B018  (Optuna 5 draws when they are first asked for)
        return None if self._anchor is None else self._anchor.distributions.keys()

    def _best(self, study: Study, known: list[FrozenTrial]) -> FrozenTrial | None:
        """Return the best trial, else the first (the defaults), or None if there is none."""
        if not known or len(study.directions) > 1:
            return next((t for t in study.get_trials(deepcopy=False) if t.params), None)
        given = self.given.items()
        known = [t for t in known if given <= t.params.items()] or known
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
        drawn = {name: self._anchor.params[name] for name in search_space}
        names = [name for name in search_space if name not in self.given]
        if names:
            others = len(names) - 1
            count = 1 + self._rng.binomial(others, min(CHANGED, 1 / len(names)))
            for place in self._rng.choice(len(names), count, replace=False):
                name = names[place]
                drawn[name] = nearby(self._rng, search_space[name], drawn[name])
        return drawn

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


PERTURBATION = 0.05
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
        return seen_space([self._anchor(study)])

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
            position = to_unit(search_space[name], drawn[name]) + PERTURBATION * self._rng.normal()
            drawn[name] = from_unit(search_space[name], position)
        names = numbers or list(drawn)
        if names and all(drawn[name] == before[name] for name in names):
            name = names[self._rng.integers(len(names))]
            drawn[name] = nearby(self._rng, search_space[name], drawn[name])
        return drawn

    def _anchor(self, study: Study) -> FrozenTrial:
        return next(t for t in study.get_trials(deepcopy=False) if t.number == self._number)
