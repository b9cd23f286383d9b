"""The study of a search: its space, its trials, and which process runs each of them."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kt_tuning.core.records import INFEASIBLE
from kt_tuning.core.units import count
from kt_tuning.run.layout import STUDY
from kt_tuning.search.distributions import SearchSpace, overlap
from kt_tuning.search.feasibility import mark_infeasible
from kt_tuning.search.objectives import objective_values, objectives_of
from kt_tuning.search.pruning import RungScores
from kt_tuning.search.study.open_study import SPACE, flush_study, open_search
from kt_tuning.search.study.trial_states import (
    ENQUEUED,
    NEAR,
    RESULT,
    SCORE,
    SCORES,
    TRIAL_ID,
    VALUES,
    Proposal,
    is_usable,
    restore_trial,
    result_attributes,
    rung_scores,
    set_parameter,
    settle,
)

SEED = "seed"
"""Attribute of a study: the seed of its search."""


class SearchStudy:
    """Writes a search to its study, and reads the trials of earlier runs and other processes.

    Trials are known by KerasTuner's ids. In a shared study each is owned by the process that runs
    it.

    Attributes:
        study: The study.
        storage: The storage that it is read from.
        seed: Seed of the search.
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
            storage: Where it is kept; None for a file in the project directory.
            project: The directory; None for an oracle without a tuner.
            objective: An objective, or KerasTuner's multi-objective.
            pruner: Decides what `report` returns.
            seed: Seed of the search; None for that of earlier runs, or a random one.

        Raises:
            StorageError: if it cannot be opened, or has other objectives.
        """
        self._objective = objective
        self._objectives = objectives_of(objective)
        self.study, self.storage = open_search(storage, project, self._objectives, pruner)
        self._file = storage if isinstance(storage, Path) else None
        if storage is None and project is not None:
            self._file = project / STUDY
        if seed is None:
            seed = self.study.user_attrs.get(SEED, random.randrange(2**31))
        self.seed = seed
        if self.study.user_attrs.get(SEED) != seed:
            self.study.set_user_attr(SEED, seed)
        self._numbers: dict[str, int] = {}
        self._own: set[int] = set()
        self._stopped: set[str] = set()
        self._space = SearchSpace([])

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the study, too."""
        return self.storage.heartbeats is not None

    def lock(self, name: str = "study") -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that share the study from blocks of the same name."""
        heartbeats = self.storage.heartbeats
        return contextlib.nullcontext() if heartbeats is None else heartbeats.lock(name)

    def number(self, trial_id: str) -> int:
        """Optuna's number of a trial."""
        return self._numbers[trial_id]

    def known_space(self, wanted: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
        """Add the hyperparameters of earlier runs to a space, and show their trials in it."""
        config = {"space": self.study.user_attrs.get(SPACE, []), "values": {}}
        earlier = keras_tuner.HyperParameters.from_config(config).space
        known = wanted.copy()
        known.merge([hp for hp in earlier if not any(overlap(hp, now) for now in wanted.space)])
        if known.space:
            self.storage.translate(SearchSpace(known.space))
        return known

    def note_space(self, hyperparameters: keras_tuner.HyperParameters) -> SearchSpace:
        """Store the space, which grows when a build adds a hyperparameter, and return it."""
        if len(hyperparameters.space) != len(self._space.parameters):
            self._space = SearchSpace(hyperparameters.space)
            self.storage.translate(self._space)
            self.study.set_user_attr(SPACE, hyperparameters.get_config()["space"])
        return self._space

    def restore(self, space: keras_tuner.HyperParameters) -> list[Trial]:
        """Return the trials of earlier runs in the order of their start; some are running."""
        trials: dict[str, Trial] = {}
        for frozen in self.study.get_trials(deepcopy=False):
            if TRIAL_ID in frozen.user_attrs:
                trial = restore_trial(frozen, space.copy(), self._objective)
                # Of several attempts the last one counts, at the position of the first.
                self._numbers[trial.trial_id] = frozen.number
                trials[trial.trial_id] = trial
            elif frozen.state == TrialState.RUNNING:
                # Of another program that was killed: samplers would avoid its configuration.
                self.study.tell(frozen.number, state=TrialState.FAIL)
        return list(trials.values())

    def end_order(self) -> list[str]:
        """Ids of the trials that have ended, in the order of their end."""
        ended = [trial for trial in self._last_attempts().values() if trial.state.is_finished()]
        ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        return [trial.user_attrs[TRIAL_ID] for trial in ended]

    def _last_attempts(self) -> dict[str, optuna.trial.FrozenTrial]:
        return {name: self.storage.get_trial(number) for name, number in self._numbers.items()}

    def read_others(self, space: keras_tuner.HyperParameters) -> list[Trial]:
        """Return the trials that other processes have started or ended since the last call."""
        if not self.shared:
            return []
        trials = []
        for number in self.storage.refresh(self._own):
            frozen = self.storage.get_trial(number)
            if TRIAL_ID in frozen.user_attrs:
                trials.append(restore_trial(frozen, space.copy(), self._objective))
                self._numbers[trials[-1].trial_id] = number
        for frozen in self.storage.running():
            if frozen.number not in self._own and (scores := rung_scores(frozen).scores):
                self.storage.show_pruned(frozen.number, max(scores), scores[max(scores)])
        return trials

    def others_run(self) -> bool:
        """Whether other processes were running trials at the last `read_others`."""
        return self.shared and any(t.number not in self._own for t in self.storage.running())

    def other_scores(self) -> dict[str, RungScores]:
        """Scores of the trials of other processes by id, as of the last `read_others`."""
        return {
            name: rung_scores(trial)
            for name, trial in self._last_attempts().items()
            if trial.number not in self._own and is_usable(trial)
        }

    def take_over(self) -> list[str]:
        """Take over the trials whose process has died; return their ids."""
        heartbeats = self.storage.heartbeats
        if heartbeats is None:
            return []
        dead, taken = heartbeats.dead(), []
        for trial_id, number in self._numbers.items():
            if number not in self._own and self.storage.backend_id(number) in dead:
                taken.append(trial_id)
                self._claim(number)
        return taken

    def owns(self, trial_id: str) -> bool:
        """Whether no other process can be running a trial."""
        return not self.shared or self._numbers[trial_id] in self._own

    def _claim(self, number: int) -> None:
        if self.storage.heartbeats is not None:
            self._own.add(number)
            self.storage.heartbeats.start(self.storage.backend_id(number))

    def begin(
        self,
        trial_id: str,
        proposal: Proposal,
        space: keras_tuner.HyperParameters,
        near: int | None = None,
    ) -> Trial:
        """Write a new running trial, which may perturb another one, in one transaction."""
        self._numbers[trial_id] = proposal.number
        attributes: dict[str, Any] = {TRIAL_ID: trial_id, VALUES: proposal.values}
        if proposal.enqueued is not None:
            attributes[ENQUEUED] = proposal.enqueued
        if near is not None:
            attributes[NEAR] = near
        self._note(trial_id, attributes)
        self.storage.commit()
        flush_study(self._file)
        return self._started(proposal.number, space)

    def retry(self, trial_id: str, space: keras_tuner.HyperParameters) -> Trial:
        """Write another attempt of a failed trial under its id: a new trial of the study."""
        failed = self.storage.get_trial(self._numbers[trial_id])
        kept = failed.user_attrs.items()
        number = self.storage.create_new_trial(
            self.study._study_id,
            optuna.create_trial(
                state=TrialState.RUNNING,
                params=failed.params,
                distributions=failed.distributions,
                user_attrs={k: v for k, v in kept if k not in (RESULT, SCORE, SCORES)},
            ),
        )
        self._numbers[trial_id] = number
        self._stopped.discard(trial_id)
        return self._started(number, space)

    def _started(self, number: int, space: keras_tuner.HyperParameters) -> Trial:
        self._claim(number)
        return restore_trial(self.storage.get_trial(number), space.copy(), self._objective)

    def ended_without_result(self, lost: Collection[str]) -> list[str]:
        """Return the ids of trials that failed, or ended and are in `lost`, oldest first."""
        return [
            name
            for name, trial in self._last_attempts().items()
            if trial.state == TrialState.FAIL or (trial.state.is_finished() and name in lost)
        ]

    def failures(self, trial_id: str) -> int:
        """The number of failed attempts of a trial before its last one."""
        earlier = (self.storage.get_trial(number) for number in range(self._numbers[trial_id]))
        return sum(trial.user_attrs.get(TRIAL_ID) == trial_id for trial in earlier)

    def neighbours(self) -> set[str]:
        """Ids of the trials that perturb another trial."""
        return {name for name, trial in self._last_attempts().items() if NEAR in trial.user_attrs}

    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Show a running trial to samplers as if it had been pruned at a rung."""
        number = self._numbers[trial_id]
        self.storage.show_pruned(number, rung, value)
        if self.shared:
            known = self.storage.get_trial(number).user_attrs.get(SCORES, {})
            self._note(trial_id, {SCORES: {**known, str(rung): value}})

    def cut_short(self, trial_id: str) -> None:
        """Count a running trial as pruned when it ends."""
        self._stopped.add(trial_id)

    def report(self, trial_id: str, step: int, value: float, *, prune: bool) -> bool:
        """Write the objective after a step; return whether the trial continues.

        The pruner is applied if `prune` is true.
        """
        number = self._numbers[trial_id]
        self.storage.set_trial_intermediate_value(number, step, float(value))
        if not prune:
            return not math.isnan(value)
        # An interrupted attempt may have got further; the pruner must not see those steps.
        until_now = copy.copy(self.storage.get_trial(number))
        curve = until_now.intermediate_values.items()
        until_now.intermediate_values = {at: value for at, value in curve if at <= step}
        if math.isnan(value) or self.study.pruner.prune(self.study, until_now):
            self._stopped.add(trial_id)
            return False
        self._stopped.discard(trial_id)
        return True

    def fill(self, trial: Trial, space: SearchSpace) -> None:
        """Write the defaults of hyperparameters that the build of a trial has added."""
        values, number = trial.hyperparameters.values, self._numbers[trial.trial_id]
        values.update(space.walk(lambda p: values.get(p.hp.name, p.hp.default)))
        kept = self.storage.get_trial(number)
        for parameter in space.active(values):
            if parameter.name not in kept.params:
                set_parameter(self.storage, number, parameter, values[parameter.hp.name])
        if kept.user_attrs[VALUES] != values:
            self._note(trial.trial_id, {VALUES: dict(values)})

    def finish(self, trial: Trial) -> None:
        """Write the score and the final status of a trial that has ended; see `settle`.

        If `report` stopped it, it is pruned for Optuna and its message says so.
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
            # Optuna's samplers ignore failed trials but learn from constraints of pruned ones.
            mark_infeasible(self.storage, number)
        if infeasible or pruned:
            self._tell(number, state=TrialState.PRUNED)
        elif succeeded:
            self._tell(number, values=objective_values(trial, self._objectives))
        else:
            self._tell(number, state=TrialState.FAIL)
        flush_study(self._file)
        if self.storage.heartbeats is not None:
            self._own.discard(number)
            self.storage.heartbeats.stop(self.storage.backend_id(number))

    def close(self) -> None:
        """Close the file of the study: SQLite then merges its write-ahead log into it."""
        if self._file is not None:
            self.storage.close()

    def _note(self, trial_id: str, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self.storage.set_trial_user_attr(self._numbers[trial_id], name, value)

    def _tell(self, number: int, **outcome: Any) -> None:
        try:
            self.study.tell(number, **outcome)
        except RuntimeError:
            # A sampler with nothing left stops the study, which fails outside `Study.optimize`.
            # The trial has been stored by then, and the next draw ends the search.
            if not self.storage.get_trial(number).state.is_finished():
                raise
