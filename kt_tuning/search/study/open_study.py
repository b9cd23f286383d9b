"""Opening the study of a search, and studies of earlier searches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
import sqlalchemy
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.core.atomic import make_folder, sync_file, sync_folder
from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.json_record import RESTORE
from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.run.layout import RESULT, STUDY
from kt_tuning.search.distributions import SearchSpace, Values, overlap
from kt_tuning.search.study.draft_storage import StudyStorage
from kt_tuning.search.study.storage import (
    close_storage,
    has_tables,
    is_shared,
    open_storage,
    storage_errors,
    without_password,
)
from kt_tuning.search.study.trial_states import VALUES

STUDY_NAME = "search"
"""Name of the study in `study.db`; in another storage it is the project's name."""
OBJECTIVES = "objectives"
"""Attribute of a study: [name, direction] of each objective."""
SPACE = "space"
"""Attribute of a study: configs of KerasTuner's hyperparameters, parents first."""
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
ORIGIN = "warm_start"
"""Attribute of an adopted trial: study and number of its origin."""

Source = optuna.Study | str | Path
"""An earlier search: its study, run directory, file, or URL."""


def open_search(
    storage: str | Path | BaseStorage | None,
    project: Path | None,
    objectives: Sequence[keras_tuner.Objective],
    pruner: BasePruner,
) -> StudyStorage:
    """Open the study of a search, or make it; return the storage that it is read from.

    Args:
        storage: See `open_storage`; None for a file in the project directory.
        project: The directory; None for an oracle without a tuner.
        objectives: One or several objectives.
        pruner: Pruner of the study.

    Raises:
        StorageError: if it cannot be opened, has other objectives, or is an empty file although
            trials have ended.
    """
    directions = [DIRECTIONS[objective.direction] for objective in objectives]
    name = STUDY_NAME if project is None or storage is None else project.name
    where = storage
    if where is None and project is not None:
        make_folder(project)
        where = project / STUDY
        if where.is_file() and not where.stat().st_size and any(project.glob(f"trial_*/{RESULT}")):
            raise StorageError(f"{where} is empty, although trials have ended. {RESTORE}")
    wanted = [[objective.name, objective.direction] for objective in objectives]
    with quiet_optuna(), storage_errors(where):
        backend = open_storage(where)
        if not is_shared(where):
            _remove_unused(backend, name, wanted)
        kept = StudyStorage(backend, name, directions)
        kept.file = where if isinstance(where, Path) else None
        study = kept.study = optuna.load_study(study_name=name, storage=kept, pruner=pruner)
        known = study.user_attrs.get(OBJECTIVES, wanted)
    if known != wanted or study.directions != directions:
        raise StorageError(
            f"{without_password(where)} holds a search for {known}; now {wanted}. Choose another "
            "project_name, or pass overwrite=True."
        )
    if OBJECTIVES not in study.user_attrs:
        study.set_user_attr(OBJECTIVES, wanted)
    if study.metric_names is None:
        with quiet_optuna():
            # Names in optuna-dashboard.
            study.set_metric_names([objective.name for objective in objectives])
    return kept


def with_earlier_space(
    kept: StudyStorage, wanted: keras_tuner.HyperParameters
) -> keras_tuner.HyperParameters:
    """Return a space with the hyperparameters of earlier runs, in which their trials are shown."""
    config = {"space": kept.study.user_attrs.get(SPACE, []), "values": {}}
    earlier = keras_tuner.HyperParameters.from_config(config).space
    known = wanted.copy()
    known.merge([hp for hp in earlier if not any(overlap(hp, now) for now in wanted.space)])
    if known.space:
        kept.translate(SearchSpace(known.space))
    return known


def _remove_unused(backend: BaseStorage, name: str, objectives: list[list[str]]) -> None:
    """Remove a study with other objectives and without trials."""
    with contextlib.suppress(KeyError):
        study = backend.get_study_id_from_name(name)
        known = backend.get_study_user_attrs(study).get(OBJECTIVES, objectives)
        if known != objectives and not backend.get_n_trials(study):
            backend.delete_study(study)


def flush_study(file: Path | None) -> None:
    """Flush a SQLite study to the disk, which a commit to its write-ahead log does not do.

    The trial that was written before this survives a power loss. SQLite locks only its other files,
    so that opening and closing this one releases no lock.

    Args:
        file: The file of the study; None if it is kept elsewhere.
    """
    if file is not None and (log := Path(f"{file}-wal")).exists():
        sync_file(log)
        sync_folder(log.parent)


def read_earlier(storage: str | Path | BaseStorage, name: str) -> tuple[dict[str, Any], int]:
    """Return attributes and number of trials of a study in a storage: {} and 0 if there is none.

    Raises:
        StorageError: if it cannot be opened.
    """
    if isinstance(storage, (str, Path)) and not has_tables(storage):
        return {}, 0
    with storage_errors(storage), _opened(storage) as backend:
        try:
            study = backend.get_study_id_from_name(name)
            return backend.get_study_user_attrs(study), backend.get_n_trials(study)
        except KeyError:
            return {}, 0


def remove_study(storage: str | Path, name: str) -> None:
    """Delete the study of an earlier search from a file, if there is one; others are kept.

    Raises:
        StorageError: if the file cannot be opened.
    """
    if OBJECTIVES in read_earlier(storage, name)[0]:
        with _opened(storage) as backend:
            backend.delete_study(backend.get_study_id_from_name(name))


@contextlib.contextmanager
def _opened(storage: str | Path | BaseStorage) -> Iterator[BaseStorage]:
    """Open a storage in the block; one that the caller has opened stays open."""
    with quiet_optuna():
        backend = open_storage(storage)
        try:
            yield backend
        finally:
            if backend is not storage:
                close_storage(backend)


def open_study(source: Source) -> optuna.Study:
    """Return the study of a run directory, of a file or at a URL.

    Raises:
        StorageError: if there is none.
    """
    if isinstance(source, optuna.Study):
        return source
    where: str | Path = source
    file: Path | None
    if isinstance(source, Path) or "://" not in source:
        path = Path(source)
        where = file = path / STUDY if path.is_dir() else path
    else:
        with storage_errors(where):
            url = sqlalchemy.make_url(source)
        # Another database has no file; SQLite would make one.
        file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    if file is not None and not file.is_file():
        raise StorageError(
            f"There is no study in {without_password(source)}. Expected a run directory with a "
            "study.db, such a file, or the URL of an Optuna storage."
        )
    storage = open_storage(where)
    with storage_errors(where):
        names = [study.study_name for study in storage.get_all_studies()]
    if len(names) != 1:
        raise StorageError(
            f"{without_password(source)} holds {len(names)} studies, expected is one"
            f"{': ' * bool(names)}{', '.join(names)}. Of several, pass "
            "optuna.load_study(study_name=..., storage=...)."
        )
    return optuna.load_study(study_name=names[0], storage=storage)


def adopt_trials(
    study: optuna.Study,
    space: SearchSpace,
    source: optuna.Study,
    objectives: Sequence[keras_tuner.Objective],
) -> int:
    """Add the completed trials of another study that fit into the space.

    Args:
        study: The study that gets the trials, unless it has them.
        space: Space of `study`.
        source: The study of the trials.
        objectives: Objectives of `study`.

    Returns:
        The number of added trials.

    Raises:
        OptionError: if the two studies have different objectives.
    """
    check_objectives(source, objectives)
    there = {trial.user_attrs.get(ORIGIN) for trial in study.get_trials(deepcopy=False)}
    added = 0
    for trial in source.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        origin = trial.user_attrs.get(ORIGIN, f"{source.study_name}#{trial.number}")
        values = None if origin in there else _fitting(space, trial)
        if values is None:
            continue
        active = {p.name: p for p in space.active(values) if p.distribution is not None}
        adopted = optuna.create_trial(
            values=trial.values,
            params={name: p.nearest(values[p.hp.name]) for name, p in active.items()},
            distributions={name: p.distribution for name, p in active.items() if p.distribution},
            user_attrs={ORIGIN: origin, VALUES: values},
            intermediate_values=trial.intermediate_values,
        )
        study.add_trial(adopted)
        added += 1
    return added


def check_objectives(source: optuna.Study, objectives: Sequence[keras_tuner.Objective]) -> None:
    """Refuse a study with other objectives, with an `OptionError`."""
    expected = [[objective.name, objective.direction] for objective in objectives]
    known = source.user_attrs.get(OBJECTIVES, expected)
    directions = [DIRECTIONS[objective.direction] for objective in objectives]
    if known != expected or source.directions != directions:
        raise OptionError(
            f"A warm start needs a search for the same objectives, {expected}. Received one for "
            f"{known}, {[direction.name.lower() for direction in source.directions]}."
        )


def _fitting(space: SearchSpace, trial: FrozenTrial) -> Values | None:
    """The trial's configuration in this space, or None if a value is out of range."""
    earlier = trial.user_attrs.get(VALUES, trial.params)
    values = space.walk(lambda p: earlier.get(p.hp.name, p.hp.default))
    try:
        for parameter in space.active(values):
            if parameter.hp.name in earlier:
                parameter.to_study(earlier[parameter.hp.name])
    except OptionError:
        return None
    return values if values.keys() & earlier.keys() else None
