"""The study of one search: what became of its trials, by KerasTuner's ids."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kt_tuning.records import INFEASIBLE
from kt_tuning.search.distributions import SearchSpace, Values, overlap
from kt_tuning.search.objectives import objective_values, objectives_of
from kt_tuning.search.rungs import Climbed
from kt_tuning.search.study.open_study import SPACE, open_search
from kt_tuning.search.study.queue import ENQUEUED, Enqueued
from kt_tuning.search.study.translation import VALUES
from kt_tuning.search.study.trial_states import (
    NEAR,
    RESULT,
    SCORES,
    TRIAL_ID,
    climbed,
    curve_until,
    is_usable,
    restore_trial,
    result_attributes,
    set_parameter,
    settle,
)
from kt_tuning.units import count

SEED = "seed"
"""Attribute of a study: the seed of its search."""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A configuration to be tried; still a draft of the study's storage.

    Attributes:
        number: Of the study's trial.
        values: By KerasTuner's names.
        enqueued: The element of the queue that it has the rest of, if it was enqueued.
    """

    number: int
    values: Values
    enqueued: Values | None = None


class SearchStudy:
    """Writes a search to its study as it goes, and reads back what earlier runs wrote.

    Attributes:
        study: The study.
        storage: What it is read from.
        enqueued: What was asked for.
        seed: Of the search.
    """

    def __init__(
        self,
        storage: str | Path | BaseStorage | None,
        project: Path | None,
        objective: keras_tuner.Objective,
        pruner: BasePruner,
        seed: int | None,
    ) -> None:
        """Open the study, or make it.

        Args:
            storage: Where it is kept; None is a file in the project directory.
            project: The directory; None for an oracle without a tuner.
            objective: One, or KerasTuner's multi-objective.
            pruner: Decides what `report` answers.
            seed: Of the search; None for that of earlier runs, or a random one.

        Raises:
            StorageError: if it cannot be opened, or has other objectives.
        """
        self._objective = objective
        self._objectives = objectives_of(objective)
        self.study, self.storage = open_search(storage, project, self._objectives, pruner)
        self.enqueued = Enqueued(self.study)
        if seed is None:
            seed = self.study.user_attrs.get(SEED, random.randrange(2**31))
        self.seed = seed
        if self.study.user_attrs.get(SEED) != seed:
            self.study.set_user_attr(SEED, seed)
        self._numbers: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._own: set[int] = set()
        self._space = SearchSpace([])

    def known_space(self, wanted: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
        """A space, and what earlier runs found beside it; their trials are shown in it."""
        config = {"space": self.study.user_attrs.get(SPACE, []), "values": {}}
        earlier = keras_tuner.HyperParameters.from_config(config).space
        known = wanted.copy()
        known.merge([hp for hp in earlier if not any(overlap(hp, now) for now in wanted.space)])
        if known.space:
            self.storage.translate(SearchSpace(known.space))
        return known

    def note_space(self, hyperparameters: keras_tuner.HyperParameters) -> SearchSpace:
        """Keep the space, which grows when a build asks for something new, and return it."""
        if len(hyperparameters.space) != len(self._space.parameters):
            self._space = SearchSpace(hyperparameters.space)
            self.storage.translate(self._space)
            self.study.set_user_attr(SPACE, hyperparameters.get_config()["space"])
        return self._space

    def restore(self, space: keras_tuner.HyperParameters) -> list[Trial]:
        """The trials of earlier runs, in the order of their start; some are running."""
        trials: dict[str, Trial] = {}
        for frozen in self.study.get_trials(deepcopy=False):
            if TRIAL_ID in frozen.user_attrs:
                trial = restore_trial(frozen, space.copy(), self._objective)
                # Of several attempts the last one counts, in the place of the first one.
                self._numbers[trial.trial_id] = frozen.number
                trials[trial.trial_id] = trial
            elif frozen.state == TrialState.RUNNING:
                # A trial of somebody else's who was killed: samplers would go on avoiding it.
                self.study.tell(frozen.number, state=TrialState.FAIL)
        return list(trials.values())

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the study, too."""
        return self.storage.sharing is not None

    def turn(self, at: str = "study") -> contextlib.AbstractContextManager[None]:
        """In its block no other process makes or takes a trial, or does what else `at` names."""
        sharing = self.storage.sharing
        return contextlib.nullcontext() if sharing is None else sharing.turn(at)

    def news(self, space: keras_tuner.HyperParameters) -> list[Trial]:
        """The trials that others have begun or ended since the last time."""
        if not self.shared:
            return []
        trials = []
        for number in self.storage.refresh(self._own):
            frozen = self.storage.get_trial(number)
            if TRIAL_ID in frozen.user_attrs:
                trials.append(restore_trial(frozen, space.copy(), self._objective))
                self._numbers[trials[-1].trial_id] = number
        for frozen in self.storage.running():
            if frozen.number not in self._own and (scores := climbed(frozen).scores):
                self.storage.show_pruned(frozen.number, max(scores), scores[max(scores)])
        return trials

    def elsewhere(self) -> dict[str, Climbed]:
        """How far the trials of others have got, by their ids; as of the last news."""
        frozen = {name: self.storage.get_trial(n) for name, n in self._numbers.items()}
        return {
            name: climbed(trial)
            for name, trial in frozen.items()
            if trial.number not in self._own and is_usable(trial)
        }

    def take_over(self) -> list[str]:
        """Make the trials whose process has died this one's; their ids."""
        sharing = self.storage.sharing
        if sharing is None:
            return []
        dead, taken = sharing.dead(), []
        for trial_id, number in self._numbers.items():
            if number not in self._own and self.storage.backend_id(number) in dead:
                taken.append(trial_id)
                self._claim(number)
        return taken

    @property
    def others_run(self) -> bool:
        """Whether trials of other processes are running, as far as is known."""
        return self.shared and any(t.number not in self._own for t in self.storage.running())

    def _claim(self, number: int) -> None:
        if self.storage.sharing is not None:
            self._own.add(number)
            self.storage.sharing.claim(self.storage.backend_id(number))

    def _release(self, number: int) -> None:
        if self.storage.sharing is not None:
            self._own.discard(number)
            self.storage.sharing.release(self.storage.backend_id(number))

    def owns(self, trial_id: str) -> bool:
        """Whether no other process may be running a trial."""
        return not self.shared or self._numbers[trial_id] in self._own

    def number(self, trial_id: str) -> int:
        """Optuna's number of a trial."""
        return self._numbers[trial_id]

    def neighbours(self) -> set[str]:
        """The ids of the trials that were begun as neighbours."""
        return {
            trial_id
            for trial_id, number in self._numbers.items()
            if NEAR in self.storage.get_trial(number).user_attrs
        }

    def end_order(self) -> list[str]:
        """The ids of the trials that have ended, in that order."""
        last = (self.storage.get_trial(number) for number in self._numbers.values())
        ours = [trial for trial in last if trial.state.is_finished()]
        ours.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        return [trial.user_attrs[TRIAL_ID] for trial in ours]

    def begin(
        self,
        trial_id: str,
        proposal: Proposal,
        space: keras_tuner.HyperParameters,
        near: int | None = None,
    ) -> Trial:
        """Write a trial that is to run, whole.

        Args:
            trial_id: KerasTuner's.
            proposal: Its configuration.
            space: The space.
            near: Number of the trial that it is a neighbour of, if it is one.

        Returns:
            KerasTuner's trial.
        """
        self._numbers[trial_id] = proposal.number
        attributes: dict[str, Any] = {TRIAL_ID: trial_id, VALUES: proposal.values}
        if proposal.enqueued is not None:
            attributes[ENQUEUED] = proposal.enqueued
        if near is not None:
            attributes[NEAR] = near
        self._note(trial_id, attributes)
        self.storage.commit()
        self._claim(proposal.number)
        return restore_trial(self.storage.get_trial(proposal.number), space.copy(), self._objective)

    def failed(self) -> list[str]:
        """The ids of the trials whose last attempt failed, in the order of their first start."""
        return [trial_id for trial_id in self._numbers if self.is_failed(trial_id)]

    def is_failed(self, trial_id: str) -> bool:
        """Whether the last attempt of a trial failed."""
        return self.storage.get_trial(self._numbers[trial_id]).state == TrialState.FAIL

    def failures(self, trial_id: str) -> int:
        """The number of attempts of a trial that failed before its last one."""
        last = self._numbers[trial_id]
        trials = (self.storage.get_trial(number) for number in range(last))
        return sum(trial.user_attrs.get(TRIAL_ID) == trial_id for trial in trials)

    def begin_again(self, trial_id: str, space: keras_tuner.HyperParameters) -> Trial:
        """Write another attempt of a trial that failed: for Optuna a trial of its own.

        Args:
            trial_id: KerasTuner's; it stays.
            space: The space.

        Returns:
            KerasTuner's trial.
        """
        failed = self.storage.get_trial(self._numbers[trial_id])
        number = self.storage.create_new_trial(
            self.study._study_id,
            optuna.create_trial(
                state=TrialState.RUNNING,
                params=failed.params,
                distributions=failed.distributions,
                user_attrs={
                    name: value
                    for name, value in failed.user_attrs.items()
                    if name not in (RESULT, SCORES)
                },
            ),
        )
        self._numbers[trial_id] = number
        self._stopped.discard(trial_id)
        self._claim(number)
        return restore_trial(self.storage.get_trial(number), space.copy(), self._objective)

    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Let the sampler learn from a running trial, as from one that was pruned at a rung."""
        number = self._numbers[trial_id]
        self.storage.show_pruned(number, rung, value)
        if self.shared:
            known = self.storage.get_trial(number).user_attrs.get(SCORES, {})
            self._note(trial_id, {SCORES: {**known, str(rung): value}})

    def cut_short(self, trial_id: str) -> None:
        """Have a running trial count as pruned when it is finished."""
        self._stopped.add(trial_id)

    def report(self, trial_id: str, step: int, value: float, *, prune: bool) -> bool:
        """Write the objective after a step.

        Returns:
            Whether the trial may go on; the pruner is asked if `prune`.
        """
        number = self._numbers[trial_id]
        self.storage.set_trial_intermediate_value(number, step, float(value))
        if not prune:
            return not math.isnan(value)
        # An attempt that was interrupted may have come further; the pruner judges this step.
        until_now = curve_until(self.storage.get_trial(number), step)
        if math.isnan(value) or self.study.pruner.prune(self.study, until_now):
            self._stopped.add(trial_id)
            return False
        self._stopped.discard(trial_id)
        return True

    def fill(self, trial: Trial, space: SearchSpace) -> None:
        """Give hyperparameters that appeared in a trial's build their defaults, and write them."""
        values, number = trial.hyperparameters.values, self._numbers[trial.trial_id]
        values.update(space.walk(lambda p: values.get(p.hp.name, p.hp.default)))
        kept = self.storage.get_trial(number)
        for parameter in space.active(values):
            if parameter.name not in kept.params:
                set_parameter(self.storage, number, parameter, values[parameter.hp.name])
        if kept.user_attrs[VALUES] != values:
            self._note(trial.trial_id, {VALUES: dict(values)})

    def finish(self, trial: Trial) -> None:
        """Score a trial that has ended, give it its final status, and write both.

        Args:
            trial: See `settle`. If `report` stopped it, it is pruned for Optuna, and its message
                says so.
        """
        number = self._numbers[trial.trial_id]
        infeasible = trial.status == INFEASIBLE
        settle(trial, self._objective)
        succeeded = trial.status == TrialStatus.COMPLETED
        pruned = succeeded and trial.trial_id in self._stopped
        if pruned and trial.message is None:
            epochs = len(self.storage.get_trial(number).intermediate_values)
            trial.message = f"pruned after {count(epochs, 'epoch')}"
        self._note(trial.trial_id, result_attributes(trial, pruned=pruned))
        if infeasible:
            # Optuna's samplers pass over failed trials, but learn from the constraints of
            # pruned ones.
            optuna.Trial(self.study, number).set_constraint("feasible", 1.0)
        if infeasible or pruned:
            self._tell(number, state=TrialState.PRUNED)
        elif succeeded:
            self._tell(number, values=objective_values(trial, self._objectives))
        else:
            self._tell(number, state=TrialState.FAIL)
        self._release(number)

    def _note(self, trial_id: str, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self.storage.set_trial_user_attr(self._numbers[trial_id], name, value)

    def _tell(self, number: int, **outcome: Any) -> None:
        try:
            self.study.tell(number, **outcome)
        except RuntimeError:
            # A sampler that has nothing left stops the study, which only `Study.optimize` bears.
            # The trial is stored by then, and the next draw finds out.
            if not self.storage.get_trial(number).state.is_finished():
                raise
