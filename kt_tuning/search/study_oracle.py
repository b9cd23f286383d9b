"""The part of an oracle that keeps its trials in an Optuna study, perhaps with other processes."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.quiet import ignored_warnings
from kt_tuning.run.layout import ORACLE, STUDY
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.pruning import RungScores
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.study.draft_storage import StudyStorage
from kt_tuning.search.study.open_study import (
    SPACE,
    Source,
    check_objectives,
    open_search,
    open_study,
    with_earlier_space,
)
from kt_tuning.search.study.storage import is_shared, storage_errors
from kt_tuning.search.study.trial_states import (
    NEAR,
    SCORES,
    TRIAL_ID,
    is_usable,
    restore_trial,
    rung_scores,
)

SEED = "seed"
"""Attribute of a study: the seed of its search."""
Method = TypeVar("Method", bound=Callable[..., Any])


def guarded(method: Method) -> Method:
    """Hold the oracle's `_guard`; unlike `keras_tuner.synchronized`, an error releases it.

    Errors of the database become a StorageError. Warnings of KerasTuner about metrics that are not
    a number are suppressed: such a trial fails with a reason.
    """

    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = self.storage or (self._project or Path()) / STUDY
        with self._guard, ignored_warnings(RuntimeWarning, "All-NaN"), storage_errors(where):
            return method(self, *args, **kwargs)

    return cast(Method, locked)


class StudyOracle(keras_tuner.Oracle):
    """Reads trials and their order from an Optuna study.

    A search that was killed continues with the trials that it was running, under the same ids. In
    a shared study each running trial is owned by the process that runs it. KerasTuner's JSON files
    are written for the tools that read them.

    Args:
        storage: Where the study is kept, see `OptunaOracle`.
        **options: Arguments of `keras_tuner.Oracle`.

    Attributes:
        keeps_study: True, which tells it apart from a `StockOracle`.
        kind: Name of the kind of oracle in the definition of a search.
        objectives: The objective, or several.
        storage: Where the study is kept; None for the project directory.
        shared: Whether other processes may run trials of the same study.
        pruner: Decides which trials stop early.
        ignores_earlier: Whether trials of an earlier run in the project directory do not count, as
            they are about to be deleted.
    """

    keeps_study: Literal[True] = True
    kind = "optuna"
    hyperparameters: keras_tuner.HyperParameters
    ongoing_trials: dict[str, Trial]
    ignores_earlier = False
    pruner: BasePruner
    _project: Path | None = None
    _retry_queue: list[str]

    def __init__(self, *, storage: str | Path | BaseStorage | None, **options: Any) -> None:
        super().__init__(**options)
        self.verbose = 0
        # KerasTuner replaces 0 by a random seed.
        self.seed = options["seed"]
        self.objectives = objectives_of(self.objective)
        self.storage = storage
        self.shared = is_shared(storage)
        self._warm_start: Source | None = None
        self._guard = threading.RLock()
        self._space = SearchSpace([])
        self._numbers: dict[str, int] = {}
        """Optuna's numbers of the trials by KerasTuner's ids; of several attempts, of the last."""

    @property
    def study(self) -> optuna.Study:
        """The study, opened on first use: everything in `optuna.visualization` works on it.

        Raises:
            StorageError: if it cannot be opened or has other objectives.
        """
        with self._guard:
            return self._kept.study

    @property
    def trials(self) -> dict[str, Trial]:
        """The trials by id; those of earlier runs are read on first use."""
        unread = not (self.ignores_earlier or self._is_open)
        if unread and self._project is not None and (self._project / ORACLE).exists():
            self.reload()
        return self._trials

    @trials.setter
    def trials(self, trials: dict[str, Trial]) -> None:
        self._trials = trials

    def close(self) -> None:
        """Close the file of the study: SQLite then merges its write-ahead log into it.

        Nothing changes the file later; the next use opens it again.
        """
        if self._is_open and self._kept.file is not None:
            self._kept.close()

    def lock(self, name: str = "study") -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that share the study from blocks of the same name."""
        heartbeats = self._kept.heartbeats
        return contextlib.nullcontext() if heartbeats is None else heartbeats.lock(name)

    def prepare(self, project_name: str, *, overwrite: bool, warm_start: Source | None) -> None:
        """Check how the study will begin. Nothing is written.

        Args:
            project_name: Name of the project.
            overwrite: Whether trials in the project directory are about to be deleted.
            warm_start: An earlier search to learn from when the study is opened, or None.

        Raises:
            OptionError: if other processes share the search that is to be deleted, or the earlier
                search had other objectives.
            StorageError: if there is no such search.
        """
        if overwrite and self.shared:
            raise OptionError(
                "`overwrite` would delete the files of other processes of a shared search, but "
                "not their study. Choose another project_name, or delete the study by `optuna "
                f"delete-study --study-name {project_name}` and the run directory yourself."
            )
        self.ignores_earlier, self._warm_start = overwrite, warm_start
        if warm_start is not None:
            check_objectives(open_study(warm_start), self.objectives)

    def restore(self, run: RunDirectory) -> None:
        """Do nothing: the study is read when it is opened."""

    @guarded
    def failures(self, trial_id: str) -> int:
        """Return the number of attempts of a trial before its last one, all of which failed."""
        kept = self._kept
        earlier = (kept.get_trial(number) for number in range(self._numbers[trial_id]))
        return sum(trial.user_attrs.get(TRIAL_ID) == trial_id for trial in earlier)

    @guarded
    def perturbations(self) -> set[str]:
        """Return the ids of the trials that perturb another trial, of all processes."""
        self._read_others()
        return {name for name, trial in self._last_attempts().items() if NEAR in trial.user_attrs}

    @guarded
    def other_scores(self) -> dict[str, RungScores]:
        """Return the scores of the trials that other processes of a shared study run, by id."""
        if not self.shared:
            return {}
        self._read_others()
        return {
            name: rung_scores(trial)
            for name, trial in self._last_attempts().items()
            if not self._kept.owns(trial.number) and is_usable(trial)
        }

    @guarded
    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Let the sampler learn from a trial that is running or paused, as if it had been pruned.

        Args:
            trial_id: Id of a running trial.
            rung: Number of the rung that it has reached. A trial on a higher rung is better.
            value: Objective there; of two trials on one rung the better value counts.
        """
        kept, number = self._kept, self._numbers[trial_id]
        kept.show_pruned(number, rung, value)
        if self.shared:
            known = kept.get_trial(number).user_attrs.get(SCORES, {})
            kept.set_trial_user_attr(number, SCORES, {**known, str(rung): value})

    @guarded
    def reload(self) -> None:
        """Take up an earlier search from its study, or one of this process that was interrupted.

        Trials that were running are handed out again, to any tuner; of a shared study only those
        of this process, as others may still be running theirs.
        """
        kept = self._kept
        running = [name for name, t in self.trials.items() if t.status == TrialStatus.RUNNING]
        others = [name for name in self._retry_queue if name not in running]
        self.ongoing_trials = {}
        self._retry_queue = others + [n for n in running if kept.owns(self._numbers[n])]

    def save(self) -> None:
        """Write KerasTuner's file atomically; the study is always up to date."""
        if self._project is not None:
            _write_state(self._get_oracle_fname(), self.get_state())

    @property
    def _is_open(self) -> bool:
        return "_kept" in vars(self)

    @functools.cached_property
    def _kept(self) -> StudyStorage:
        """The study as samplers see it.

        On first use it is opened, or made, and the seed, the space and the trials are read.
        """
        kept = open_search(self.storage, self._project, self.objectives, self.pruner)
        attributes = kept.study.user_attrs
        if self.seed is None:
            self.seed = attributes.get(SEED, random.randrange(2**31))
        if attributes.get(SEED) != self.seed:
            kept.study.set_user_attr(SEED, self.seed)
        self.hyperparameters = with_earlier_space(kept, self.hyperparameters)
        for frozen in kept.study.get_trials(deepcopy=False):
            if TRIAL_ID in frozen.user_attrs:
                self._remember(frozen)
            elif frozen.state == TrialState.RUNNING:
                # Of another program that was killed: samplers would avoid its configuration.
                kept.study.tell(frozen.number, state=TrialState.FAIL)
        last = {name: kept.get_trial(number) for name, number in self._numbers.items()}
        if not self.shared:
            # In a shared study another process may be running them; see `_synchronise`.
            self._retry_queue += [name for name, t in last.items() if t.state == TrialState.RUNNING]
        ended = [trial for trial in last.values() if trial.state.is_finished()]
        ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        self.end_order = [trial.user_attrs[TRIAL_ID] for trial in ended]
        return kept

    def _remember(self, frozen: FrozenTrial) -> Trial:
        """Convert a trial of the study; of several attempts the last one counts."""
        trial = restore_trial(frozen, self.hyperparameters.copy(), self.objective)
        if trial.trial_id not in self._trials:
            self.start_order.append(trial.trial_id)
        self._trials[trial.trial_id] = trial
        self._numbers[trial.trial_id] = frozen.number
        return trial

    def _last_attempts(self) -> dict[str, FrozenTrial]:
        kept = self._kept  # opening it reads the numbers
        return {name: kept.get_trial(number) for name, number in self._numbers.items()}

    def _note_space(self) -> SearchSpace:
        """Store the space, which grows when a build adds a hyperparameter, and return it."""
        if len(self.hyperparameters.space) != len(self._space.parameters):
            self._space = SearchSpace(self.hyperparameters.space)
            self._kept.translate(self._space)
            self._kept.study.set_user_attr(SPACE, self.hyperparameters.get_config()["space"])
        return self._space

    def _synchronise(self) -> None:
        """Read what other processes have written, and take over the trials of dead ones."""
        if not self.shared:
            return
        self._read_others()
        taken = self._kept.abandoned(self._numbers.values())
        for number in taken:
            self._kept.claim(number)
        self._retry_queue += [name for name, number in self._numbers.items() if number in taken]

    def _read_others(self) -> None:
        """Read the trials of a shared study that other processes have started or ended."""
        if not self.shared:
            return
        for number in self._kept.refresh():
            frozen = self._kept.get_trial(number)
            if TRIAL_ID not in frozen.user_attrs:
                continue
            trial = self._remember(frozen)
            if trial.trial_id in self.end_order:
                # That attempt failed and another one has started.
                self.end_order.remove(trial.trial_id)
            if trial.status != TrialStatus.RUNNING:
                self.end_order.append(trial.trial_id)
        for frozen in self._kept.run_elsewhere():
            if scores := rung_scores(frozen).scores:
                self._kept.show_pruned(frozen.number, max(scores), scores[max(scores)])

    def _save_trial(self, trial: Trial) -> None:
        if self._project is not None:
            _write_state(f"{self._get_trial_dir(trial.trial_id)}/trial.json", trial.get_state())

    def _set_project_dir(self, directory: str | Path, project_name: str) -> None:
        project = Path(directory) / project_name
        if self._is_open and project != self._project:
            raise SearchError(
                f"This oracle's study is open already and not in {project}: make the tuner "
                "before using `study`, `warm_start` or `create_trial`."
            )
        super()._set_project_dir(directory, project_name)
        self._project = project


def _write_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state of KerasTuner atomically, in its format: one line of JSON with NaN."""
    with atomic_write(path, durable=False) as temporary:
        temporary.write_text(json.dumps(state, default=float), encoding="utf-8")
