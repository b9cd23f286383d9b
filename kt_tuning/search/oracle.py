"""Optuna behind KerasTuner's `Oracle`: any sampler, pruner and storage, in any KerasTuner tuner."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from kt_tuning.core.errors import SearchError
from kt_tuning.search.distributions import SearchSpace, Value
from kt_tuning.search.objectives import measure
from kt_tuning.search.proposer import Proposer, Restriction
from kt_tuning.search.pruning import AshaPruner, make_pruner
from kt_tuning.search.samplers import find_strategy
from kt_tuning.search.study import trial_states
from kt_tuning.search.study.open_study import (
    Source,
    adopt_trials,
    flush_study,
    open_study,
    remove_study,
)
from kt_tuning.search.study_oracle import StudyOracle, guarded


class OptunaOracle(StudyOracle):
    """Chooses configurations with Optuna, in KerasTuner's own tuners as well as in `kt.Tuner`.

    Attributes:
        default_never_pauses: Whether trial 0 is trained to its end.
        ends_near_best: Whether the last trials of a limited time should perturb the best one.
        pauses: Whether trials may pause: with the pruner "asha" and one objective.
    """

    def __init__(
        self,
        strategy: str | BaseSampler = "tpe",
        *,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        seed: int | None = None,
        pruner: str | BasePruner | None = None,
        storage: str | Path | BaseStorage | None = None,
        epochs: int | None = None,
        defaults_first: bool = True,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
    ) -> None:
        """Set up the oracle; the study is opened when it is first needed.

        Args:
            strategy: A name in `SAMPLERS`, or any sampler of Optuna.
            objective: As in KerasTuner: a name, a `keras_tuner.Objective`, or a list of them,
                which makes a study with several objectives; `study.best_trials` are their front.
            max_trials: Largest number of trials, earlier runs included; None for no limit.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            seed: Equal seeds give equal configurations, also after an interruption; random if None.
            pruner: A name in `PRUNERS`, or any pruner of Optuna; None for that of the strategy.
            storage: A SQLite file, a URL or a storage of Optuna. None is `study.db` in the
                project directory, or memory for an oracle without a tuner. Processes with the URL
                of the same PostgreSQL or MySQL database and the same project name share the
                search: each trial is run by one of them, or by another if that one dies. A URL
                without a password uses KT_TUNING_STORAGE_PASSWORD. `overwrite` of
                `kt_tuning.Tuner` deletes the study with the project's name in a file or a SQLite
                URL. It leaves a storage of Optuna alone: trials there count for `max_trials`.
            epochs: Epochs of a full training, for pruners; None if unknown.
            defaults_first: Whether trial 0 is the default configuration.
            tune_new_entries: As in KerasTuner: whether hyperparameters that appear in a build are
                searched.
            allow_new_entries: As in KerasTuner: whether builds may add hyperparameters.
            max_retries_per_trial: As in KerasTuner: retries of a trial that ends as "INVALID".

        Raises:
            OptionError: if there is no such strategy or pruner, or it takes one objective only.
        """
        super().__init__(
            storage=storage,
            objective=objective,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            seed=seed,
            max_retries_per_trial=max_retries_per_trial,
        )
        count = len(self.objectives)
        chosen = find_strategy(strategy, objectives=count, trials=max_trials)
        self.pruner = make_pruner(pruner or chosen.pruner, epochs, objectives=count)
        self._proposer = Proposer(chosen, defaults_first=defaults_first)
        self._stopped: set[str] = set()
        self.ends_near_best = chosen.ends_near_best
        self.pauses = count == 1 and isinstance(self.pruner, AshaPruner)
        self.default_never_pauses = chosen.default_never_pauses and defaults_first
        self._failed: list[tuple[str, int]] = []
        """Ids of trials that are retried, with the number of the attempt that failed."""

    def open(self) -> None:
        """Open the study, and warm-start it once if `prepare` asked for that.

        If the earlier search is deleted, so is its study in a file or URL of a storage. A storage
        that the caller has opened is left alone.
        """
        project, storage = self._project, self.storage
        if self.ignores_earlier and project is not None and isinstance(storage, (str, Path)):
            remove_study(storage, project.name)
        self.ignores_earlier = False
        self.reload()
        if self._warm_start is not None:
            self.warm_start(self._warm_start)
            self._warm_start = None

    @guarded
    def warm_start(self, source: Source) -> int:
        """Let the sampler learn from an earlier search over the same or an overlapping space.

        The finished trials of that search are added to the study; they do not count for
        `max_trials`. A hyperparameter that the earlier space lacked is taken to have had its
        default; a trial with a value that is now out of range is left out. A second call with the
        same source has no effect.

        Args:
            source: The earlier study, its run directory, its file or the URL of its storage.

        Returns:
            The number of trials added.

        Raises:
            OptionError: if the earlier search had other objectives.
            StorageError: if there is no such study.
            SearchError: if the space is not known yet; making a tuner finds it.
        """
        if not self.hyperparameters.space:
            raise SearchError("The space is not known: make the tuner before `warm_start`.")
        space = self._note_space()
        with self.lock():
            self._synchronise()
            return adopt_trials(self.study, space, open_study(source), self.objectives)

    @guarded
    def enqueue(self, values: Mapping[str, Value]) -> None:
        """Try a configuration next: right after the defaults if there is no trial yet.

        A configuration is tried once; enqueuing it again, as a script that is run again does, has
        no effect.

        Args:
            values: By name; missing hyperparameters are drawn by the sampler.

        Raises:
            OptionError: if a name is unknown, not active or its value out of range. Raised by a
                later `create_trial` if the space is not known yet.
        """
        space = SearchSpace(self.hyperparameters.space)
        self._proposer.enqueue(space.check(values) if space.parameters else dict(values))
        # Before the search begins nothing is written.
        if self._is_open:
            self._proposer.write_queue(self._kept.study, space)

    @guarded
    def create_trial(
        self, tuner_id: str, near: str | None = None, restriction: Restriction | None = None
    ) -> Trial:
        """Return the next trial; a tuner gets the same one until it has ended.

        Args:
            tuner_id: Id of the tuner, or of its worker slot.
            near: Id of the trial that a new configuration perturbs, or None.
            restriction: Families that a new configuration may have; None for any.

        Returns:
            A trial with status "RUNNING". "STOPPED" if there are `max_trials`, or every
            configuration has been tried; "IDLE" if, moreover, other processes that share the study
            still run trials, which may have to be taken over.

        Raises:
            OptionError: if a configuration was enqueued that is not in the space.
            SearchError: if all of the first ten trials failed.
        """
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        with self.lock():
            self._synchronise()
            if self._retry_queue:
                trial = self.trials[self._retry_queue.pop(0)]
                trial.status, trial.message = TrialStatus.RUNNING, None
            elif (trial := self._retried() or self._created(near, restriction)) is None:
                status = TrialStatus.IDLE if self._kept.run_elsewhere() else TrialStatus.STOPPED
                return Trial(self.hyperparameters.copy(), trial_id="", status=status)
        self.tuner_ids.add(tuner_id)
        self.ongoing_trials[tuner_id] = trial
        self._save_trial(trial)
        return trial

    def _retried(self) -> Trial | None:
        """Start another attempt of a trial of an earlier run; None if none is left."""
        while self._failed:
            trial_id, number = self._failed.pop(0)
            # Another process that shares the study may have started another attempt.
            if number == self._numbers[trial_id]:
                self.end_order.remove(trial_id)
                self._stopped.discard(trial_id)
                return self._started(self._kept.create_attempt(number))
        return None

    def _created(self, near: str | None, restriction: Restriction | None) -> Trial | None:
        """Start a trial with a new configuration; None if there is none."""
        if self.max_trials and len(self.trials) >= self.max_trials:
            return None
        space, kept = self._note_space(), self._kept
        anchor = None if near is None else self._numbers[near]
        trials = self.trials.values()
        proposed = self._proposer.propose(kept, self.seed, space, trials, anchor, restriction)
        if proposed is None:
            return None
        trial_id = f"{len(trials):0{len(str(self.max_trials))}d}"
        number = kept.commit({trial_states.TRIAL_ID: trial_id, **proposed})
        flush_study(kept.file)
        return self._started(number)

    def _started(self, number: int) -> Trial:
        self._kept.claim(number)
        return self._remember(self._kept.get_trial(number))

    @guarded
    def report(self, trial_id: str, epoch: int, value: float, *, prune: bool = True) -> bool:
        """Record the objective after an epoch (or a fold) and apply the pruner.

        Args:
            trial_id: Id of a running trial.
            epoch: Index from 0.
            value: Objective after it.
            prune: Whether the pruner is applied.

        Returns:
            Whether the trial continues; always true with several objectives.
        """
        if len(self.objectives) > 1:
            return True
        kept, number = self._kept, self._numbers[trial_id]
        prunes = prune and type(self.pruner) is not NopPruner
        if prunes:
            self._read_others()
        kept.set_trial_intermediate_value(number, epoch, float(value))
        stops = math.isnan(value)
        if prunes and not stops:
            until_now = copy.copy(kept.get_trial(number))
            # An interrupted attempt may have got further.
            curve = until_now.intermediate_values.items()
            until_now.intermediate_values = {at: value for at, value in curve if at <= epoch}
            stops = kept.study.pruner.prune(kept.study, until_now)
        (self._stopped.add if stops else self._stopped.discard)(trial_id)
        return not stops

    def cut_short(self, trial_id: str) -> None:
        """Count a running trial as pruned when it ends."""
        self._stopped.add(trial_id)

    def failure_status(self, status: str) -> str:
        """Return the status by which the oracle knows a trial without a score."""
        return status

    @guarded
    def retry_failed(self, exclude: Collection[str] = (), lost: Collection[str] = ()) -> list[str]:
        """Retry each trial that failed before now once, before new trials.

        They keep their ids and configurations and do not count again for `max_trials`. While other
        processes run trials of a shared study, nothing is retried: the failures may be theirs.

        Args:
            exclude: Ids of trials that are not retried.
            lost: Ids of trials whose results are lost: if they have ended, they are retried.

        Returns:
            The ids of the trials that are retried.
        """
        with self.lock():
            self._synchronise()
            last = {} if self._kept.run_elsewhere() else self._last_attempts()
        self._failed = [
            (name, trial.number)
            for name, trial in last.items()
            if name not in exclude
            and (trial.state == TrialState.FAIL or (trial.state.is_finished() and name in lost))
        ]
        return [name for name, _ in self._failed]

    @guarded
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        """Record the metrics of a trial; they are written when the trial ends.

        Raises:
            OptionError: if an objective is missing.
        """
        measure(self.trials[trial_id], metrics, step, self.objectives)
        return self.trials[trial_id]

    @guarded
    def end_trial(self, trial: Trial) -> None:
        """End a trial.

        Args:
            trial: With the status "COMPLETED", "FAILED", "INVALID" (retried if retries are left)
                or "INFEASIBLE" (over a limit; samplers learn to avoid it). A trial that `report`
                stopped is "COMPLETED" with its best value for KerasTuner and pruned for Optuna.
                Its `message` is kept.

        Raises:
            RuntimeError: if the build asked for a hyperparameter that is not allowed.
        """
        known = self.trials[trial.trial_id]
        known.hyperparameters = trial.hyperparameters
        known.status, known.message = trial.status, trial.message
        ongoing = self.ongoing_trials.items()
        self.ongoing_trials = {k: t for k, t in ongoing if t.trial_id != known.trial_id}
        try:
            self.update_space(known.hyperparameters)
        except RuntimeError as error:
            known.status, known.message = TrialStatus.FAILED, str(error)
            self._finish(known)
            raise
        space, number = self._note_space(), self._numbers[known.trial_id]
        trial_states.fill_trial(self._kept, number, known, space)
        self._run_times[known.trial_id] += 1
        retries_left = self._run_times[known.trial_id] <= self.max_retries_per_trial
        if known.status == TrialStatus.INVALID and retries_left:
            self._retry_queue.append(known.trial_id)
        else:
            self._finish(known)
            self.end_order.append(known.trial_id)
            if known.status == TrialStatus.FAILED:
                self._proposer.failures.append(known.message)
        self._save_trial(known)
        self.save()

    def _finish(self, trial: Trial) -> None:
        number, stopped = self._numbers[trial.trial_id], trial.trial_id in self._stopped
        trial_states.finish_trial(self._kept, number, trial, self.objective, stopped=stopped)
        flush_study(self._kept.file)
        self._kept.release(number)
