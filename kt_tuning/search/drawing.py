"""Drawing a configuration that no trial has had."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler

from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values
from kt_tuning.search.samplers import GridSampler, Strategy
from kt_tuning.search.study import Proposal, SearchStudy
from kt_tuning.search.study.trial_states import set_parameter

REDRAWS = 10
"""Draws of the sampler, and then of a random one, before the grid is asked for what is left."""


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What one trial's configuration is drawn from.

    Equal drawings, equal draws: they depend on nothing but this and what is in the study.

    Attributes:
        kept: The search's study.
        space: To draw from.
        strategy: Makes samplers.
        index: Of the trial, from 0.
        tried: Whether a trial had a configuration.
    """

    kept: SearchStudy
    space: SearchSpace
    strategy: Strategy
    index: int
    tried: Callable[[Values], bool]

    def untried(self, planned: Mapping[str, Value]) -> Proposal | None:
        """Draw what is not planned.

        Args:
            planned: Values by KerasTuner's names.

        Returns:
            A configuration with these values, or None if every one has been tried.
        """
        for attempt in range(2 * REDRAWS + 1):
            proposal = self._draw(attempt, planned)
            if not self.tried(proposal.values):
                return proposal
            self.kept.storage.discard()
            if proposal.values.keys() <= planned.keys():
                break
        return None

    def _draw(self, attempt: int, planned: Mapping[str, Value]) -> Proposal:
        study = self.kept.study
        try:
            with quiet_optuna():
                study.sampler = self._sampler(attempt)
                trial = study.ask()
                values = self.space.walk(lambda p: self._value(p, trial, planned))
                return Proposal(trial.number, values)
        except BaseException:
            self.kept.storage.discard()
            raise

    def _sampler(self, attempt: int) -> BaseSampler:
        sequence = np.random.SeedSequence((self.kept.seed, self.index, attempt))
        seed = int(sequence.generate_state(1)[0])
        if attempt < REDRAWS:
            return self.strategy.sampler(self.kept.seed, seed)
        return GridSampler() if attempt == 2 * REDRAWS else RandomSampler(seed)

    def _value(
        self, parameter: Parameter, trial: optuna.Trial, planned: Mapping[str, Value]
    ) -> Value:
        name = parameter.hp.name
        if name not in planned:
            return parameter.suggest(trial)
        set_parameter(self.kept.storage, trial.number, parameter, planned[name])
        return planned[name]
