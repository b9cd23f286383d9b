"""Optuna behind KerasTuner's `Oracle`: any sampler, pruner and storage, in any KerasTuner tuner."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage

from kt_tuning.errors import SearchError
from kt_tuning.search.distributions import SearchSpace, Value
from kt_tuning.search.guarding import guarded
from kt_tuning.search.objectives import measure, objectives_of, pareto_front
from kt_tuning.search.proposer import Proposer, Restriction
from kt_tuning.search.pruning import make_pruner
from kt_tuning.search.rungs import Climbed
from kt_tuning.search.samplers import find_strategy
from kt_tuning.search.study import SearchStudy, adopt_trials, check_objectives, open_study
from kt_tuning.search.study.heartbeat_lock import is_shared
from kt_tuning.search.study.keras_files import write_state


class OptunaOracle(keras_tuner.Oracle):
    """Chooses configurations with Optuna, in KerasTuner's own tuners as well as in ours.

    The study is the truth: trials, their order and what is left to run are read from it, and a
    search that was killed goes on with the trials it was running, under the same ids. KerasTuner's
    JSON files are written beside it for the tools that read them.

    Attributes:
        objectives: What is optimised: one, or several.
        pruner: Decides what `report` answers.
        spares_first: Whether trial 0 is trained to its end where others pause.
        ends_near_best: Whether the last trials of a limited time should be near the best one.
        ignores_earlier: Whether trials of an earlier run that are in the project directory do not
            count, since they are about to be deleted.
    """

    hyperparameters: keras_tuner.HyperParameters
    ongoing_trials: dict[str, Trial]
    _retry_queue: list[str]

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
        """Prepare an oracle; the study is opened when the tuner has said where.

        Args:
            strategy: A name in `SAMPLERS`, or any sampler of Optuna.
            objective: As in KerasTuner: a name, a `keras_tuner.Objective`, or a list of them,
                which makes a study with several objectives; see `pareto`.
            max_trials: Trials, at most, earlier runs included; None for no limit.
            hyperparameters: A space that is fixed or narrowed in advance.
            seed: Same seed, same configurations, also across an interruption; random if None.
            pruner: A name in `PRUNERS`, or any pruner of Optuna; None for the strategy's.
            storage: A SQLite file, a URL or a storage of Optuna. None is `study.db` in the
                project directory, or memory for an oracle without a tuner. Processes with the URL
                of the same PostgreSQL or MySQL database and the same project name share the
                search: each of its trials is run by one of them, or by another if that one dies.
                A password that a URL lacks is taken from KT_TUNING_STORAGE_PASSWORD.
                A storage of your own is not deleted by a tuner's `overwrite`: the trials that it
                holds under the project's name are taken up, and count for `max_trials`.
            epochs: Epochs of a full training, for pruners; None if unknown.
            defaults_first: Whether trial 0 is the default configuration.
            tune_new_entries: As in KerasTuner, like the other two: whether hyperparameters that
                appear in a build are searched.
            allow_new_entries: Whether they may appear at all.
            max_retries_per_trial: How often a trial that ends as "INVALID" is run again.

        Raises:
            OptionError: if there is no such strategy or pruner, or it takes one objective only.
        """
        super().__init__(
            objective=objective,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            seed=seed,
            max_retries_per_trial=max_retries_per_trial,
        )
        self.verbose = 0
        # KerasTuner takes 0 for none.
        self.seed = seed
        self.objectives = objectives_of(self.objective)
        count = len(self.objectives)
        chosen = find_strategy(strategy, objectives=count, trials=max_trials)
        self.pruner = make_pruner(pruner or chosen.pruner, epochs, objectives=count)
        self._proposer = Proposer(chosen, defaults_first=defaults_first)
        self.ends_near_best = chosen.ends_near_best
        self.spares_first = chosen.spares_defaults and defaults_first
        self.ignores_earlier = False
        self._storage = storage
        self._project: Path | None = None
        self._opening = False
        self._failed: list[str] = []
        self._lock = threading.RLock()

    @property
    def study(self) -> optuna.Study:
        """The study, opened on first use: everything in `optuna.visualization` works on it.

        Raises:
            StorageError: if it cannot be opened or has other objectives.
        """
        with self._lock:
            return self._kept.study

    @property
    def trials(self) -> dict[str, Trial]:
        """The trials by their ids; those of earlier runs are read when they are first asked for."""
        if self._has_earlier():
            self.reload()
        return self._trials

    @trials.setter
    def trials(self, trials: dict[str, Trial]) -> None:
        self._trials = trials

    def _has_earlier(self) -> bool:
        """Whether an earlier run's trials are there and have not been read."""
        project = getattr(self, "_project", None)
        if project is None or self._opening or self.ignores_earlier or "_kept" in vars(self):
            return False
        return (project / "oracle.json").exists()

    @functools.cached_property
    def _kept(self) -> SearchStudy:
        self._opening = True
        try:
            return self._open()
        finally:
            self._opening = False

    def _open(self) -> SearchStudy:
        kept = SearchStudy(self._storage, self._project, self.objective, self.pruner, self.seed)
        self.seed = kept.seed
        self.hyperparameters = kept.known_space(self.hyperparameters)
        for trial in kept.restore(self.hyperparameters):
            self._remember(trial)
            # In a shared study others may be running them; see `_catch_up`.
            if trial.status == TrialStatus.RUNNING and not kept.shared:
                self._retry_queue.append(trial.trial_id)
        self.end_order = kept.end_order()
        return kept

    def _remember(self, trial: Trial) -> None:
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self._proposer.note(trial)

    @guarded
    def create_trial(
        self, tuner_id: str, near: str | None = None, restriction: Restriction | None = None
    ) -> Trial:
        """Hand out a trial: to the same tuner the same one again, until it has ended.

        Args:
            tuner_id: Who asks.
            near: Id of a trial that a new configuration should hardly differ from.
            restriction: Which families a new configuration may be of; None: any.

        Returns:
            A trial that is "RUNNING"; or one that is "STOPPED" if there are `max_trials`, or
            every configuration has been tried. It is "IDLE" as long as other processes that share
            the study run trials then: one that dies leaves its trial.

        Raises:
            OptionError: if what was enqueued before the space was known does not fit into it.
            SearchError: if the first ten trials failed, all of them.
        """
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        # Opening the study fills the queue.
        kept = self._kept
        with kept.turn():
            self._catch_up(kept)
            if self._retry_queue:
                trial = self.trials[self._retry_queue.pop(0)]
                trial.status, trial.message = TrialStatus.RUNNING, None
            elif (
                trial := self._begun_again(kept) or self._created(kept, near, restriction)
            ) is None:
                status = TrialStatus.IDLE if kept.others_run else TrialStatus.STOPPED
                return Trial(self.hyperparameters.copy(), trial_id="", status=status)
        self.tuner_ids.add(tuner_id)
        self.ongoing_trials[tuner_id] = trial
        self._save_trial(trial)
        return trial

    def _catch_up(self, kept: SearchStudy) -> None:
        """Hear of what others who share the study have done, and take over from the dead."""
        self._hear(kept)
        self._retry_queue += kept.take_over()

    def _hear(self, kept: SearchStudy) -> None:
        for trial in kept.news(self.hyperparameters):
            if trial.trial_id in self.trials:
                self.trials[trial.trial_id] = trial
                self._proposer.note(trial)
            else:
                self._remember(trial)
            if trial.trial_id in self.end_order:
                # An attempt that failed; another one has begun.
                self.end_order.remove(trial.trial_id)
            if trial.status != TrialStatus.RUNNING:
                self.end_order.append(trial.trial_id)

    def _begun_again(self, kept: SearchStudy) -> Trial | None:
        """A trial that failed in an earlier run, as another attempt; None if there is none left."""
        while self._failed:
            trial_id = self._failed.pop(0)
            # Another process that shares the study may have been faster.
            if kept.is_failed(trial_id):
                trial = kept.begin_again(trial_id, self.hyperparameters)
                self.trials[trial_id] = trial
                self.end_order.remove(trial_id)
                self._proposer.note(trial)
                return trial
        return None

    def _created(
        self, kept: SearchStudy, near: str | None, restriction: Restriction | None
    ) -> Trial | None:
        if self.max_trials and len(self.trials) >= self.max_trials:
            return None
        space = kept.note_space(self.hyperparameters)
        anchor = None if near is None else kept.number(near)
        proposal = self._proposer.propose(kept, space, anchor, restriction)
        if proposal is None:
            return None
        trial_id = f"{len(self.trials):0{len(str(self.max_trials))}d}"
        # What was asked for comes first, even where a neighbour is wanted.
        drawn_near = anchor if proposal.enqueued is None else None
        trial = kept.begin(trial_id, proposal, self.hyperparameters, drawn_near)
        self._remember(trial)
        return trial

    @guarded
    def report(self, trial_id: str, epoch: int, value: float, *, prune: bool = True) -> bool:
        """Record the objective after an epoch (or a fold) and ask the pruner.

        Args:
            trial_id: Of a running trial.
            epoch: Index, from 0.
            value: Of the objective.
            prune: Whether the pruner is asked.

        Returns:
            Whether the trial should go on; always, with several objectives.
        """
        if len(self.objectives) > 1:
            return True
        if prune and not isinstance(self.pruner, NopPruner):
            self._hear(self._kept)
        return self._kept.report(trial_id, epoch, value, prune=prune)

    @guarded
    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Let the sampler learn from a trial that is still running, or that waits.

        Args:
            trial_id: Of a running trial.
            rung: How far it is; of two trials the one that got further is the better one,
            value: then the one with the better value of the objective.
        """
        self._kept.rank(trial_id, rung, value)

    @guarded
    def retry_failed(self, but: Collection[str] = ()) -> list[str]:
        """Have the trials that failed before now tried again, each once, before new ones.

        They keep their ids and configurations and do not count anew for `max_trials`. As long as
        other processes run trials of a shared study none are: the failures may be of their run.

        Args:
            but: Ids of trials that are not tried again.

        Returns:
            Their ids.
        """
        kept = self._kept
        with kept.turn():
            self._catch_up(kept)
            failed = [] if kept.others_run else kept.failed()
        self._failed = [trial_id for trial_id in failed if trial_id not in but]
        return list(self._failed)

    @guarded
    def failures(self, trial_id: str) -> int:
        """The number of earlier attempts of a trial, all of which failed."""
        return self._kept.failures(trial_id)

    @guarded
    def neighbours(self) -> set[str]:
        """The ids of the trials that were begun near another one, by whatever process."""
        self._hear(self._kept)
        return self._kept.neighbours()

    @guarded
    def elsewhere(self) -> dict[str, Climbed]:
        """How far the trials of other processes that share the study have got, by their ids."""
        if not self.shared:
            return {}
        self._hear(self._kept)
        return self._kept.elsewhere()

    @guarded
    def cut_short(self, trial_id: str) -> None:
        """Have a running trial count as pruned when it is ended."""
        self._kept.cut_short(trial_id)

    @property
    def shared(self) -> bool:
        """Whether other processes may be running trials of the same study."""
        return is_shared(self._storage)

    @guarded
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        """Note what a trial measured; it is written when the trial ends.

        Raises:
            OptionError: if an objective is missing.
        """
        measure(self.trials[trial_id], metrics, step, self.objectives)
        return self.trials[trial_id]

    @guarded
    def end_trial(self, trial: Trial) -> None:
        """Finish a trial.

        Args:
            trial: Its `status` is "COMPLETED"; "FAILED"; "INVALID", which is run again if
                retries are left; or "INFEASIBLE": over a limit, which samplers learn to avoid.
                One that `report` stopped is "COMPLETED" for KerasTuner, with its best value, and
                pruned for Optuna. Its `message` is kept.

        Raises:
            RuntimeError: if the build asked for a hyperparameter that is not allowed.
        """
        kept, known = self._kept, self.trials[trial.trial_id]
        known.hyperparameters = trial.hyperparameters
        known.status, known.message = trial.status, trial.message
        ongoing = self.ongoing_trials.items()
        self.ongoing_trials = {k: t for k, t in ongoing if t.trial_id != known.trial_id}
        try:
            self.update_space(known.hyperparameters)
        except RuntimeError as error:
            known.status, known.message = TrialStatus.FAILED, str(error)
            kept.finish(known)
            raise
        kept.fill(known, kept.note_space(self.hyperparameters))
        self._run_times[known.trial_id] += 1
        retries_left = self._run_times[known.trial_id] <= self.max_retries_per_trial
        if known.status == TrialStatus.INVALID and retries_left:
            self._retry_queue.append(known.trial_id)
        else:
            kept.finish(known)
            self.end_order.append(known.trial_id)
            if known.status == TrialStatus.FAILED:
                self._proposer.note_failure(known)
        self._proposer.note(known)
        self._save_trial(known)
        self.save()

    @guarded
    def enqueue(self, values: Mapping[str, Value]) -> None:
        """Ask for a configuration to be tried next, before the sampler has a say.

        Before the first trial it comes right after the defaults. It is tried once: asking again
        for the same, as a script does that is run again, changes nothing.

        Args:
            values: By name. What is left out is drawn by the sampler.

        Raises:
            OptionError: if a name is unknown, not active or its value out of range. As long as
                the space is not known, it is a later `create_trial` that raises it.
        """
        space = SearchSpace(self.hyperparameters.space)
        self._proposer.wish(space.check(values) if space.parameters else dict(values))
        # Before the search begins nothing is written.
        if "_kept" in vars(self):
            self._proposer.keep_wishes(self._kept, space)

    @guarded
    def warm_start(self, source: optuna.Study | str | Path) -> int:
        """Let the sampler learn from an earlier search over the same or an overlapping space.

        Its finished trials are added to the study; they are no trials of this search and do not
        count for `max_trials`. What the earlier space lacked is taken to have been at its
        default; a trial with a value that is now out of range is left out. Doing it twice does
        no harm.

        Args:
            source: The earlier study, its run directory, its file or the URL of its storage.

        Returns:
            The number of trials added.

        Raises:
            OptionError: if the earlier search had other objectives.
            StorageError: if there is no such study.
            SearchError: if the space is not known yet: a tuner finds it out.
        """
        if not self.hyperparameters.space:
            raise SearchError("The space is not known: make the tuner before `warm_start`.")
        kept = self._kept
        space = kept.note_space(self.hyperparameters)
        with kept.turn():
            self._catch_up(kept)
            return adopt_trials(self.study, space, open_study(source), self.objectives)

    def check_source(self, source: optuna.Study | str | Path) -> None:
        """Refuse an earlier search that `warm_start` could not learn from; nothing is written.

        Raises:
            OptionError: if the earlier search had other objectives.
            StorageError: if there is no such study.
        """
        check_objectives(open_study(source), self.objectives)

    @property
    def storage(self) -> str | Path | BaseStorage | None:
        """Where the study is kept; None if it is in the project directory."""
        return self._storage

    def note(self, name: str, content: Any) -> None:
        """Keep an attribute in the study."""
        if self.study.user_attrs.get(name) != content:
            self.study.set_user_attr(name, content)

    def turn(self, at: str) -> contextlib.AbstractContextManager[None]:
        """In its block no other process that shares the study has its turn at the same."""
        return self._kept.turn(at)

    def pareto(self) -> list[Trial]:
        """The completed trials that no other one beats in every objective, in order of start."""
        return pareto_front(self.trials.values(), self.objectives)

    @guarded
    def reload(self) -> None:
        """Take up an earlier search, from its study; or one of this process that was interrupted.

        What it was running is handed out again, whoever asks.
        """
        kept = self._kept
        running = [name for name, t in self.trials.items() if t.status == TrialStatus.RUNNING]
        others = [name for name in self._retry_queue if name not in running]
        self.ongoing_trials = {}
        self._retry_queue = others + [name for name in running if kept.owns(name)]

    def save(self) -> None:
        """Write KerasTuner's file, atomically; the study is up to date anyway."""
        if self._project is not None:
            write_state(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        if self._project is not None:
            write_state(f"{self._get_trial_dir(trial.trial_id)}/trial.json", trial.get_state())

    def _set_project_dir(self, directory: str | Path, project_name: str) -> None:
        project = Path(directory) / project_name
        if "_kept" in vars(self) and project != self._project:
            raise SearchError(
                f"This oracle's study is open already and not in {project}: make the tuner "
                "before using `study`, `warm_start` or `create_trial`."
            )
        super()._set_project_dir(directory, project_name)
        self._project = project
