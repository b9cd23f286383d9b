"""The trials of a study, and which process runs each of them if several share the study."""

from __future__ import annotations

import contextlib
from pathlib import Path

import keras_tuner
from keras_tuner.engine.trial import Trial
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.rungs import RungScores
from kt_tuning.search.study.open_study import open_search
from kt_tuning.search.study.trial_states import (
    NEAR,
    TRIAL_ID,
    is_usable,
    restore_trial,
    rung_scores,
)


class SharedStudy:
    """Knows the trials of a study by KerasTuner's ids, and which of them this process owns.

    Attributes:
        study: The study.
        storage: The storage that it is read from.
    """

    def __init__(
        self,
        storage: str | Path | BaseStorage | None,
        project: Path | None,
        objective: keras_tuner.Objective,
        pruner: BasePruner,
    ) -> None:
        """Open the study, or make it; see `SearchStudy`."""
        self._objective = objective
        self._objectives = objectives_of(objective)
        self.study, self.storage = open_search(storage, project, self._objectives, pruner)
        self._numbers: dict[str, int] = {}
        self._own: set[int] = set()

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

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the study, too."""
        return self.storage.heartbeats is not None

    def lock(self, name: str = "study") -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that share the study from blocks of the same name."""
        heartbeats = self.storage.heartbeats
        return contextlib.nullcontext() if heartbeats is None else heartbeats.lock(name)

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

    def other_scores(self) -> dict[str, RungScores]:
        """Scores of the trials of other processes by id, as of the last `read_others`."""
        frozen = {name: self.storage.get_trial(n) for name, n in self._numbers.items()}
        return {
            name: rung_scores(trial)
            for name, trial in frozen.items()
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

    @property
    def others_run(self) -> bool:
        """Whether other processes were running trials at the last `read_others`."""
        return self.shared and any(t.number not in self._own for t in self.storage.running())

    def _claim(self, number: int) -> None:
        if self.storage.heartbeats is not None:
            self._own.add(number)
            self.storage.heartbeats.start(self.storage.backend_id(number))

    def _release(self, number: int) -> None:
        if self.storage.heartbeats is not None:
            self._own.discard(number)
            self.storage.heartbeats.stop(self.storage.backend_id(number))

    def owns(self, trial_id: str) -> bool:
        """Whether no other process can be running a trial."""
        return not self.shared or self._numbers[trial_id] in self._own

    def number(self, trial_id: str) -> int:
        """Optuna's number of a trial."""
        return self._numbers[trial_id]

    def neighbours(self) -> set[str]:
        """Ids of the trials that perturb another trial."""
        return {
            trial_id
            for trial_id, number in self._numbers.items()
            if NEAR in self.storage.get_trial(number).user_attrs
        }

    def end_order(self) -> list[str]:
        """Ids of the trials that have ended, in the order of their end."""
        last = (self.storage.get_trial(number) for number in self._numbers.values())
        ours = [trial for trial in last if trial.state.is_finished()]
        ours.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        return [trial.user_attrs[TRIAL_ID] for trial in ours]
