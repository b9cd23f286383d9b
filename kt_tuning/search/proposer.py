"""The next configuration: the defaults, then enqueued ones, then the sampler's, each only once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.samplers import BaseSampler, RandomSampler

from hypermodels import FAMILY
from kt_tuning.core.errors import SearchError
from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values
from kt_tuning.search.samplers import Strategy, perturbations
from kt_tuning.search.samplers.mutation import PriorBandSampler
from kt_tuning.search.samplers.space_filling import grid
from kt_tuning.search.study.draft_storage import StudyStorage
from kt_tuning.search.study.trial_states import ENQUEUED, NEAR, VALUES, set_parameter

QUEUE = "queue"
"""Attribute of a study: all configurations that were ever enqueued, in order."""
MAX_FAILURES = 10
"""Failed trials after which a search without any success ends."""
REDRAWS = 10
"""Draws of the sampler, and then of a random sampler, before the grid is searched for a
configuration that is left."""


@dataclasses.dataclass(frozen=True)
class Restriction:
    """The families that a new trial may have.

    Attributes:
        affordable: Families that there is time for; no other one is proposed.
        preferred: The affordable families that the sampler may choose, best first.
    """

    affordable: Collection[str]
    preferred: Sequence[str]


class Proposer:
    """Decides which configuration is next; the first one has the defaults if `defaults_first`."""

    def __init__(self, strategy: Strategy, *, defaults_first: bool) -> None:
        self._strategy = strategy
        self._defaults_first = defaults_first
        self._enqueued: list[Values] = []
        self.failures: list[str | None] = []
        """Messages of trials that failed in this run: the causes of earlier failures may have been
        removed."""

    def enqueue(self, values: Values) -> None:
        """Enqueue a configuration, or some values of one."""
        self._enqueued.append(values)

    def write_queue(self, study: optuna.Study, space: SearchSpace) -> None:
        """Add the enqueued configurations to the study's queue, once the space is known.

        Raises:
            OptionError: if one does not fit into the space.
        """
        while self._enqueued and space.parameters:
            values = space.check(self._enqueued[0])
            queue: list[Values] = study.user_attrs.get(QUEUE, [])
            # A script that is resumed enqueues the same again.
            if values not in queue:
                study.set_user_attr(QUEUE, [*queue, values])
            del self._enqueued[0]

    def propose(
        self,
        kept: StudyStorage,
        seed: int,
        space: SearchSpace,
        trials: Collection[Trial],
        near: int | None = None,
        restriction: Restriction | None = None,
    ) -> dict[str, Any] | None:
        """Draft the next trial of the study; return its attributes.

        It depends on the seed, on the number of trials, on the study and on the remaining time
        only: a resumed search continues with the same configurations.

        Args:
            kept: The study of the search.
            seed: Seed of the search.
            space: The space.
            trials: All trials, running or ended.
            near: Number of the trial that the configuration perturbs, unless it was enqueued.
            restriction: Families that it may have; None for any.

        Returns:
            `VALUES`, and `ENQUEUED` or `NEAR` if it is such a configuration. None if every
            configuration has been tried: there is no draft then.

        Raises:
            OptionError: if an enqueued configuration does not fit into the space.
            SearchError: if all of the first `MAX_FAILURES` trials failed.
        """
        if len(self.failures) >= MAX_FAILURES and not any(
            trial.status == TrialStatus.COMPLETED for trial in trials
        ):
            raise SearchError(
                f"All {len(self.failures)} trials failed; the first one: {self.failures[0]}"
            )
        self.write_queue(kept.study, space)
        strategy = self._strategy if near is None else perturbations(near)
        tried = {_key(trial.hyperparameters.values) for trial in trials}
        draw = _Draw(kept, seed, space, strategy, index=len(trials), tried=tried)
        if self._defaults_first and not trials:
            values = draw.untried(space.defaults())
            return None if values is None else {VALUES: values}
        queue: list[Values] = kept.study.user_attrs.get(QUEUE, [])
        taken = [t.user_attrs.get(ENQUEUED) for t in kept.study.get_trials(deepcopy=False)]
        for enqueued in [waiting for waiting in queue if waiting not in taken]:
            family = enqueued.get(FAMILY)
            if restriction and family is not None and family not in restriction.affordable:
                continue
            values = draw.untried(enqueued)
            if values is not None:
                return {VALUES: values, ENQUEUED: enqueued}
            queue.remove(enqueued)
            kept.study.set_user_attr(QUEUE, queue)
        values = draw.untried({}) if restriction is None else draw.within(restriction.preferred)
        if values is None:
            return None
        return {VALUES: values} if near is None else {VALUES: values, NEAR: near}


@dataclasses.dataclass(frozen=True)
class _Draw:
    """Draws the configuration of one trial; equal attributes and studies give equal draws."""

    kept: StudyStorage
    seed: int
    space: SearchSpace
    strategy: Strategy
    index: int
    tried: Collection[str]

    def untried(self, planned: Mapping[str, Value]) -> Values | None:
        """Draw the hyperparameters that are not in `planned`; None if nothing is left to try."""
        for attempt in range(0 if self.strategy.exhaustive else 2 * REDRAWS):
            values = self._draw(attempt, planned)
            if _key(values) not in self.tried:
                return values
            self.kept.discard()
            if values.keys() <= planned.keys():
                return None
        for values in grid(self.space, planned):
            if _key(values) not in self.tried:
                return self._draw(2 * REDRAWS, values)
        return None

    def within(self, families: Sequence[str]) -> Values | None:
        """Draw a configuration of some families; the first if the sampler chooses another one."""
        values = self.untried({}) if families else None
        if values is None or values[FAMILY] in families:
            return values
        self.kept.discard()
        drawn = (self.untried({FAMILY: family}) for family in families)
        return next((values for values in drawn if values is not None), None)

    def _draw(self, attempt: int, planned: Mapping[str, Value]) -> Values:
        study = self.kept.study
        try:
            sequence = np.random.SeedSequence((self.seed, self.index, attempt))
            seed = int(sequence.generate_state(1)[0])
            with quiet_optuna():
                sampler: BaseSampler = RandomSampler(seed)
                if attempt < REDRAWS:
                    sampler = self.strategy.sampler(self.seed, seed)
                if isinstance(sampler, PriorBandSampler):
                    sampler.given = planned
                study.sampler = sampler
                trial = study.ask()
                near = sampler.near(trial) if isinstance(sampler, PriorBandSampler) else None
                return self.space.walk(lambda p: self._value(p, trial, planned, near))
        except BaseException:
            self.kept.discard()
            raise

    def _value(
        self,
        parameter: Parameter,
        trial: optuna.Trial,
        planned: Mapping[str, Value],
        near: Collection[str] | None,
    ) -> Value:
        name = parameter.hp.name
        if name in planned:
            value = planned[name]
        elif near is not None and parameter.name not in near:
            # The trial that is changed lacks it.
            value = parameter.to_keras(parameter.nearest(parameter.hp.default))
        else:
            return parameter.suggest(trial)
        set_parameter(self.kept, trial.number, parameter, value)
        return value


def _key(values: Mapping[str, Any]) -> str:
    """Return a key that equal configurations share."""
    return json.dumps(dict(values), sort_keys=True)
