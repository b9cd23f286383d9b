"""A study that is read from memory and written through to any Optuna storage."""

from __future__ import annotations

import contextlib
import copy
import datetime
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.study.storage import Heartbeats, close_storage, is_shared
from kt_tuning.search.study.trial_states import RESULT, SCORE, SCORES, stored_names, translated


class StudyStorage(BaseStorage):
    """One study of any Optuna storage, read from memory and written through.

    A new trial is a draft in memory: samplers may propose several times before the whole trial is
    written in one transaction. A process that is killed thus never leaves a trial without
    parameters. The id of a trial is its number.

    Args:
        backend: Storage that keeps the study.
        name: Name of the study, which is made if there is none.
        directions: Directions of the objectives of a study that is made.

    Attributes:
        study: The study, read from this storage; set by `open_search`.
        file: The SQLite file of the study, or None if it is kept elsewhere; set by `open_search`.
        heartbeats: Heartbeats of a study that other processes share, else None. Each running trial
            of it is owned by the process that runs it.
    """

    study: optuna.Study
    file: Path | None = None

    def __init__(
        self, backend: BaseStorage, name: str, directions: Sequence[StudyDirection]
    ) -> None:
        self._backend = backend
        self._study_id = _study_id(backend, name, directions)
        self._name = name
        self.heartbeats: Heartbeats | None = None
        if isinstance(backend, RDBStorage) and is_shared(backend):
            self.heartbeats = Heartbeats(backend, self._study_id, name)
        self._directions = backend.get_study_directions(self._study_id)
        self._user_attrs = backend.get_study_user_attrs(self._study_id)
        self._system_attrs = backend.get_study_system_attrs(self._study_id)
        trials = backend.get_all_trials(self._study_id)
        self._trials = [_renumbered(trial, number) for number, trial in enumerate(trials)]
        self._backend_ids = {number: trial._trial_id for number, trial in enumerate(trials)}
        self._space: SearchSpace | None = None
        # Of each parameter that of the first trial that has it.
        self._distributions: dict[str, BaseDistribution] = {}
        for trial in self._trials:
            self._distributions = {**trial.distributions, **self._distributions}
        self._names: dict[str, str] = {}
        self._shown: dict[int, FrozenTrial] = {}
        self._draft: int | None = None

    def close(self) -> None:
        """Close the connections to a database; the next use opens them again."""
        close_storage(self._backend)

    def translate(self, space: SearchSpace) -> None:
        """Show all trials as if they had been drawn from a space that may be wider than theirs."""
        self._space = space
        self._names = stored_names(space, self._distributions)
        self._trials = [self._translated(trial) for trial in self._trials]
        self._shown = {number: self._translated(trial) for number, trial in self._shown.items()}

    def commit(self, attributes: Mapping[str, Any]) -> int:
        """Write the draft with attributes, in one transaction; return its number."""
        assert self._draft is not None
        number, self._draft = self._draft, None
        trial = self._trials[number]
        trial.user_attrs.update(attributes)
        self._backend_ids[number] = self._backend.create_new_trial(
            self._study_id, self._as_stored(trial)
        )
        return number

    def create_attempt(self, number: int) -> int:
        """Write another attempt of a failed trial, under its id; return its number."""
        failed = self._trials[number]
        kept = {k: v for k, v in failed.user_attrs.items() if k not in (RESULT, SCORE, SCORES)}
        attempt = optuna.create_trial(
            state=TrialState.RUNNING,
            params=failed.params,
            distributions=failed.distributions,
            user_attrs=kept,
        )
        return self.create_new_trial(self._study_id, attempt)

    def claim(self, number: int) -> None:
        """Tell other processes that share the study that this one runs a trial."""
        if self.heartbeats is not None:
            self.heartbeats.start(self._backend_ids[number])

    def release(self, number: int) -> None:
        """Record that this process does not run a trial any more."""
        if self.heartbeats is not None:
            self.heartbeats.stop(self._backend_ids[number])

    def owns(self, number: int) -> bool:
        """Whether no other process can be running a trial."""
        return self.heartbeats is None or self._backend_ids.get(number) in self.heartbeats.alive

    def abandoned(self, numbers: Iterable[int]) -> list[int]:
        """Return those of some trials of a shared study whose process has died."""
        assert self.heartbeats is not None
        dead = self.heartbeats.dead()
        return [n for n in numbers if not self.owns(n) and self._backend_ids[n] in dead]

    def refresh(self) -> list[int]:
        """Read the trials of other processes; return the numbers of those new or ended since."""
        changed = []
        for trial in self._backend.get_all_trials(self._study_id, deepcopy=False):
            number = trial.number
            if self.owns(number):
                continue
            read = self._translated(_renumbered(trial, number))
            if number >= len(self._trials):
                self._trials.append(read)
                self._backend_ids[number] = trial._trial_id
                changed.append(number)
            elif not self._trials[number].state.is_finished():
                self._trials[number] = read
                self._shown.pop(number, None)
                if read.state.is_finished():
                    changed.append(number)
        return changed

    def run_elsewhere(self) -> list[FrozenTrial]:
        """Return the trials that other processes run, including those shown as pruned."""
        running = [trial for trial in self._trials if trial.state == TrialState.RUNNING]
        return [trial for trial in running if not self.owns(trial.number)]

    def discard(self) -> None:
        """Remove the draft, if there is one."""
        if self._draft is not None:
            del self._trials[self._draft]
            self._draft = None

    def show_pruned(self, trial_id: int, step: int, value: float) -> None:
        """Show a running trial to samplers as pruned; they do not learn from running trials."""
        shown = copy.copy(self._trials[trial_id])
        shown.state = TrialState.PRUNED
        shown.intermediate_values = {step: value}
        self._shown[trial_id] = shown

    def _write(self, trial_id: int, method: str, *arguments: Any) -> bool:
        """Call a method of the backend for a trial; do nothing for the draft."""
        self.check_trial_is_updatable(trial_id, self._trials[trial_id].state)
        if trial_id == self._draft:
            return False
        return getattr(self._backend, method)(self._backend_ids[trial_id], *arguments) is not False

    def _translated(self, trial: FrozenTrial) -> FrozenTrial:
        if self._space is None:
            return trial
        return _with_parameters(trial, *translated(trial, self._space))

    def _as_stored(self, trial: FrozenTrial) -> FrozenTrial:
        """Return the trial with the parameter names of the backend."""
        for name, distribution in trial.distributions.items():
            self._distributions.setdefault(self._names.get(name, name), distribution)
        return _with_parameters(
            trial,
            {self._names.get(name, name): value for name, value in trial.params.items()},
            {self._names.get(name, name): each for name, each in trial.distributions.items()},
        )

    # The methods below are Optuna's storage interface and documented there.

    def create_new_study(self, *_: Any, **__: Any) -> int:
        """Refuse: this storage holds one study, made on construction."""
        raise StorageError(f"This storage holds one study, {self._name!r}.")

    def delete_study(self, study_id: int) -> None:
        """Refuse: the search still needs its study."""
        raise StorageError(f"{self._name!r} is in use by a search; delete it in its own storage.")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: D102
        self._backend.set_study_user_attr(self._study_id, key, value)
        self._user_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: D102
        self._backend.set_study_system_attr(self._study_id, key, value)
        self._system_attrs[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:  # noqa: D102
        return self._study_id

    def get_study_name_from_id(self, study_id: int) -> str:  # noqa: D102
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:  # noqa: D102
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: D102
        return dict(self._user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: D102
        return dict(self._system_attrs)

    def get_all_studies(self) -> list[Any]:  # noqa: D102
        return self._backend.get_all_studies()

    def create_new_trial(  # noqa: D102
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> int:
        number = len(self._trials)
        if template_trial is not None and template_trial.state == TrialState.WAITING:
            raise OptionError(
                "A search does not read trials of `study.enqueue_trial`: use `enqueue`."
            )
        if template_trial is None:
            running = optuna.create_trial(state=TrialState.RUNNING)
            self._trials.append(_renumbered(running, number))
            self._draft = number
        else:
            self._backend_ids[number] = self._backend.create_new_trial(
                self._study_id, self._as_stored(template_trial)
            )
            self._trials.append(_renumbered(copy.deepcopy(template_trial), number))
        return number

    def get_trial_id_from_study_id_trial_number(  # noqa: D102
        self, study_id: int, trial_number: int
    ) -> int:
        if not 0 <= trial_number < len(self._trials):
            raise KeyError(f"No trial with number {trial_number}.")
        return trial_number

    def set_trial_param(  # noqa: D102
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        stored = self._names.get(param_name, param_name)
        if self._write(trial_id, "set_trial_param", stored, param_value_internal, distribution):
            self._distributions.setdefault(stored, distribution)
        trial = self._trials[trial_id]
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_state_values(  # noqa: D102
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        assert trial_id != self._draft, "a draft is committed or discarded"
        if not self._write(trial_id, "set_trial_state_values", state, values):
            return False
        self._shown.pop(trial_id, None)
        trial = self._trials[trial_id]
        trial.state = state
        if values is not None:
            trial.values = list(values)
        if state == TrialState.RUNNING:
            trial.datetime_start = datetime.datetime.now()
        elif state.is_finished():
            trial.datetime_complete = datetime.datetime.now()
        return True

    def set_trial_intermediate_value(  # noqa: D102
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._write(trial_id, "set_trial_intermediate_value", step, intermediate_value)
        self._trials[trial_id].intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: D102
        self._write(trial_id, "set_trial_user_attr", key, value)
        self._trials[trial_id].user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: D102
        self._write(trial_id, "set_trial_system_attr", key, value)
        self._trials[trial_id].system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:  # noqa: D102
        return self._trials[trial_id]

    def get_all_trials(  # noqa: D102
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        seen = [self._shown.get(number, trial) for number, trial in enumerate(self._trials)]
        trials = [trial for trial in seen if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


def _study_id(backend: BaseStorage, name: str, directions: Sequence[StudyDirection]) -> int:
    """The backend's id of the study, which is made if there is none."""
    try:
        return backend.get_study_id_from_name(name)
    except KeyError:
        with contextlib.suppress(DuplicatedStudyError):
            return backend.create_new_study(directions, name)
        # Another process has made it.
        return backend.get_study_id_from_name(name)


def _with_parameters(
    trial: FrozenTrial, params: dict[str, Any], distributions: dict[str, BaseDistribution]
) -> FrozenTrial:
    changed = copy.copy(trial)
    changed.params, changed.distributions = params, distributions
    return changed


def _renumbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    """Return the trial with its number as its id."""
    renumbered = copy.copy(trial)
    renumbered.number = renumbered._trial_id = number
    renumbered.system_attrs = dict(trial.system_attrs)
    return renumbered
