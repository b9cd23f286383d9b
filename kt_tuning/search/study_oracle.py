"""The part of an oracle that keeps its trials in an Optuna study, perhaps with other processes."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.quiet import ignored_warnings
from kt_tuning.run.layout import ORACLE, STUDY
from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.proposer import Proposer
from kt_tuning.search.pruning import RungScores
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.study.open_study import check_objectives, open_study
from kt_tuning.search.study.search_study import SearchStudy
from kt_tuning.search.study.storage import is_shared, storage_errors

Source = optuna.Study | str | Path
"""An earlier search: its study, run directory, file, or URL."""
Method = TypeVar("Method", bound=Callable[..., Any])


def guarded(method: Method) -> Method:
    """Hold the oracle's `_guard`; unlike `keras_tuner.synchronized`, an error releases it.

    Errors of the database become a StorageError. Warnings of KerasTuner about metrics that are not
    a number are suppressed: such a trial fails with a reason.
    """

    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = self.storage or (self._project or Path()) / STUDY
        with (
            self._guard,
            ignored_warnings(RuntimeWarning, "All-NaN"),
            storage_errors(where),
        ):
            return method(self, *args, **kwargs)

    return cast(Method, locked)


class StudyOracle(keras_tuner.Oracle):
    """Reads trials and their order from an Optuna study.

    A search that was killed continues with the trials that it was running, under the same ids.
    KerasTuner's JSON files are written for the tools that read them.

    Args:
        storage: Where the study is kept, see `OptunaOracle`.
        **options: Arguments of `keras_tuner.Oracle`.

    Attributes:
        keeps_study: True, which tells it apart from a `StockOracle`.
        kind: Name of the kind of oracle in the definition of a search.
        objectives: The objective, or several.
        storage: Where the study is kept; None for the project directory.
        pruner: Decides which trials stop early.
        ignores_earlier: Whether trials of an earlier run in the project directory do not count, as
            they are about to be deleted.
    """

    keeps_study = True
    kind = "optuna"
    hyperparameters: keras_tuner.HyperParameters
    ongoing_trials: dict[str, Trial]
    pruner: BasePruner
    _proposer: Proposer
    _retry_queue: list[str]

    def __init__(self, *, storage: str | Path | BaseStorage | None, **options: Any) -> None:
        super().__init__(**options)
        self.verbose = 0
        # KerasTuner replaces 0 by a random seed.
        self.seed = options["seed"]
        self.objectives = objectives_of(self.objective)
        self.ignores_earlier = False
        self.storage = storage
        self._project: Path | None = None
        self._opening = False
        self._warm_start: Source | None = None
        self._guard = threading.RLock()

    @property
    def study(self) -> optuna.Study:
        """The study, opened on first use: everything in `optuna.visualization` works on it.

        Raises:
            StorageError: if it cannot be opened or has other objectives.
        """
        with self._guard:
            return self._search_study.study

    @property
    def shared(self) -> bool:
        """Whether other processes may run trials of the same study."""
        return is_shared(self.storage)

    @property
    def trials(self) -> dict[str, Trial]:
        """The trials by id; those of earlier runs are read on first use."""
        if self._has_earlier():
            self.reload()
        return self._trials

    @trials.setter
    def trials(self, trials: dict[str, Trial]) -> None:
        self._trials = trials

    def close(self) -> None:
        """Close the file of the study, so that nothing changes it later; the next use opens it."""
        if "_search_study" in vars(self):
            self._search_study.close()

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that share the study from blocks of the same name."""
        return self._search_study.lock(name)

    def number(self, trial_id: str) -> int:
        """Return the index of a trial in the order of start."""
        return int(self.start_order.index(trial_id))

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
        self.ignores_earlier = overwrite
        self._warm_start = warm_start
        if warm_start is not None:
            check_objectives(open_study(warm_start), self.objectives)

    def restore(self, run: RunDirectory) -> None:
        """Do nothing: the study is read when it is opened."""

    def known_trials(self) -> Collection[str] | None:
        """Return the ids of all trials of the project; None if other processes may add some."""
        return None if self.shared else self.trials

    def will_retry(self, trial_id: str) -> bool:
        """Return False: trials that end as "INVALID" are retried by the study itself."""
        return False

    def failure_status(self, status: str) -> str:
        """Return the status by which the oracle knows a trial without a score."""
        return status

    @guarded
    def failures(self, trial_id: str) -> int:
        """The number of earlier attempts of a trial, all of which failed."""
        return self._search_study.failures(trial_id)

    @guarded
    def neighbours(self) -> set[str]:
        """Ids of the trials that perturb another trial, of all processes."""
        self._read_others(self._search_study)
        return self._search_study.neighbours()

    @guarded
    def other_scores(self) -> dict[str, RungScores]:
        """Scores of the trials that other processes of a shared study run, by id."""
        if not self.shared:
            return {}
        self._read_others(self._search_study)
        return self._search_study.other_scores()

    @guarded
    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Let the sampler learn from a trial that is running or paused.

        Args:
            trial_id: Id of a running trial.
            rung: Number of the rung that it has reached. A trial on a higher rung is better.
            value: Objective there; of two trials on one rung the better value counts.
        """
        self._search_study.rank(trial_id, rung, value)

    @guarded
    def cut_short(self, trial_id: str) -> None:
        """Count a running trial as pruned when it ends."""
        self._search_study.cut_short(trial_id)

    @guarded
    def reload(self) -> None:
        """Take up an earlier search from its study, or one of this process that was interrupted.

        Trials that were running are handed out again, to any tuner.
        """
        kept = self._search_study
        running = [name for name, t in self.trials.items() if t.status == TrialStatus.RUNNING]
        others = [name for name in self._retry_queue if name not in running]
        self.ongoing_trials = {}
        self._retry_queue = others + [name for name in running if kept.owns(name)]

    def save(self) -> None:
        """Write KerasTuner's file atomically; the study is always up to date."""
        if self._project is not None:
            _write_state(self._get_oracle_fname(), self.get_state())

    @property
    def _is_open(self) -> bool:
        return "_search_study" in vars(self)

    def _has_earlier(self) -> bool:
        """Whether there are trials of an earlier run that have not been read."""
        project = getattr(self, "_project", None)
        if project is None or self._opening or self.ignores_earlier or self._is_open:
            return False
        return (project / ORACLE).exists()

    @functools.cached_property
    def _search_study(self) -> SearchStudy:
        self._opening = True
        try:
            return self._open()
        finally:
            self._opening = False

    def _open(self) -> SearchStudy:
        kept = SearchStudy(self.storage, self._project, self.objective, self.pruner, self.seed)
        self.seed = kept.seed
        self.hyperparameters = kept.known_space(self.hyperparameters)
        for trial in kept.restore(self.hyperparameters):
            self._remember(trial)
            # In a shared study another process may be running it; see `_synchronise`.
            if trial.status == TrialStatus.RUNNING and not kept.shared:
                self._retry_queue.append(trial.trial_id)
        self.end_order = kept.end_order()
        return kept

    def _remember(self, trial: Trial) -> None:
        if trial.trial_id not in self.trials:
            self.start_order.append(trial.trial_id)
        self.trials[trial.trial_id] = trial

    def _synchronise(self, kept: SearchStudy) -> None:
        """Read what other processes have written, and take over the trials of dead ones."""
        self._read_others(kept)
        self._retry_queue += kept.take_over()

    def _read_others(self, kept: SearchStudy) -> None:
        for trial in kept.read_others(self.hyperparameters):
            self._remember(trial)
            if trial.trial_id in self.end_order:
                # That attempt failed and another one has started.
                self.end_order.remove(trial.trial_id)
            if trial.status != TrialStatus.RUNNING:
                self.end_order.append(trial.trial_id)

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
