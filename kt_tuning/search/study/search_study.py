"""The study of a search: its space, and its trials from their start to their result."""

from __future__ import annotations

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

from kt_tuning.core.atomic import sync_file, sync_folder
from kt_tuning.core.records import INFEASIBLE
from kt_tuning.core.units import count
from kt_tuning.run.layout import STUDY
from kt_tuning.search.distributions import SearchSpace, overlap
from kt_tuning.search.objectives import objective_values
from kt_tuning.search.study.open_study import SPACE
from kt_tuning.search.study.queue import ENQUEUED, Queue
from kt_tuning.search.study.shared_study import SharedStudy
from kt_tuning.search.study.translation import VALUES
from kt_tuning.search.study.trial_states import (
    NEAR,
    RESULT,
    SCORE,
    SCORES,
    TRIAL_ID,
    Proposal,
    curve_until,
    restore_trial,
    result_attributes,
    set_parameter,
    settle,
)

SEED = "seed"
"""Attribute of a study: the seed of its search."""


class SearchStudy(SharedStudy):
    """Writes a search to its study, and reads the trials of earlier runs.

    Attributes:
        queue: The enqueued configurations.
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
        super().__init__(storage, project, objective, pruner)
        self.queue = Queue(self.study)
        file = storage if isinstance(storage, Path) else None
        if storage is None and project is not None:
            file = project / STUDY
        self._file = file
        self._named = False
        if seed is None:
            seed = self.study.user_attrs.get(SEED, random.randrange(2**31))
        self.seed = seed
        if self.study.user_attrs.get(SEED) != seed:
            self.study.set_user_attr(SEED, seed)
        self._stopped: set[str] = set()
        self._space = SearchSpace([])

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

    def begin(
        self,
        trial_id: str,
        proposal: Proposal,
        space: keras_tuner.HyperParameters,
        near: int | None = None,
    ) -> Trial:
        """Write a new running trial in one transaction.

        Args:
            trial_id: KerasTuner's id.
            proposal: Its configuration.
            space: The space.
            near: Number of the trial that it perturbs, or None.

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
        self._flush()
        self._claim(proposal.number)
        return restore_trial(self.storage.get_trial(proposal.number), space.copy(), self._objective)

    def ended_without_result(self, lost: Collection[str]) -> list[str]:
        """Return the ids of trials that failed, or ended and lost their result, oldest first.

        Args:
            lost: Ids of trials whose result is lost.
        """
        last = {name: self.storage.get_trial(number) for name, number in self._numbers.items()}
        return [
            name
            for name, trial in last.items()
            if trial.state == TrialState.FAIL or (trial.state.is_finished() and name in lost)
        ]

    def failures(self, trial_id: str) -> int:
        """The number of failed attempts of a trial before its last one."""
        last = self._numbers[trial_id]
        trials = (self.storage.get_trial(number) for number in range(last))
        return sum(trial.user_attrs.get(TRIAL_ID) == trial_id for trial in trials)

    def retry(self, trial_id: str, space: keras_tuner.HyperParameters) -> Trial:
        """Write another attempt of a failed trial: a new trial of the study.

        Args:
            trial_id: KerasTuner's id, which stays the same.
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
                    if name not in (RESULT, SCORE, SCORES)
                },
            ),
        )
        self._numbers[trial_id] = number
        self._stopped.discard(trial_id)
        self._claim(number)
        return restore_trial(self.storage.get_trial(number), space.copy(), self._objective)

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
        until_now = curve_until(self.storage.get_trial(number), step)
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
        """Write the score and the final status of a trial that has ended.

        Args:
            trial: See `settle`. If `report` stopped it, it is pruned for Optuna and its message
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
            # Optuna's samplers ignore failed trials but learn from constraints of pruned ones.
            optuna.Trial(self.study, number).set_constraint("feasible", 1.0)
        if infeasible or pruned:
            self._tell(number, state=TrialState.PRUNED)
        elif succeeded:
            self._tell(number, values=objective_values(trial, self._objectives))
        else:
            self._tell(number, state=TrialState.FAIL)
        self._flush()
        self._release(number)

    def _flush(self) -> None:
        """Flush a SQLite study to the disk, which a commit to its write-ahead log does not do.

        The trial that was written before this survives a power loss. SQLite locks only its other
        files, so that opening and closing this one releases no lock.
        """
        if self._file is None:
            return
        log = Path(f"{self._file}-wal")
        if log.exists():
            sync_file(log)
            if not self._named:
                sync_folder(log.parent)
                self._named = True

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
