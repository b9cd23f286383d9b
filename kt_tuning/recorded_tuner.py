"""The tuner of an earlier search, restored from its run directory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from hypermodels import HYPERMODELS, Families
from hypermodels.backbone import BackboneError
from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.json_record import content_checked, read_json
from kt_tuning.core.records import SearchRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.finalize import has_final_model
from kt_tuning.recipe import Recipe
from kt_tuning.run import Run
from kt_tuning.run.layout import AUTO_CHOICE, DEFINITION, OPTIONS
from kt_tuning.search import STRATEGIES
from kt_tuning.search.auto import AutoChoice, Chosen
from kt_tuning.search.definition import SearchDefinition, read_definition
from kt_tuning.search.descriptions import NAME, STATE
from kt_tuning.search.study.storage import trusted_storage
from kt_tuning.tuner import Tuner

logger = logging.getLogger("kt_tuning")

OPTUNA = "optuna"
_ARGUMENTS = ("per_stage", "space", "normalization", "weights", "penalty")
"""Arguments of the classes in `HYPERMODELS` that are attributes of the same name."""


class OpenedTuner(Tuner):
    """The tuner of a run whose hypermodel is code that the run directory does not have.

    Results, plots, the report, the saved ensemble, its evaluation and export need no hypermodel.
    Training raises SearchError.
    """

    def __init__(self, definition: SearchDefinition, **options: Any) -> None:
        self._recorded = definition
        self._missing = _missing(definition)
        super().__init__(self._missing, **options)

    def _populate_initial_space(self) -> None:
        """Take the space from the record: nothing is built."""
        self._defaults = self._recorded.values or {}
        self._default_model = self._recorded.model or []

    def search(self, *args: Any, **options: Any) -> None:
        """Refuse: there is nothing to build."""
        self._check_buildable()

    def _check_buildable(self) -> None:
        self._missing(keras_tuner.HyperParameters())

    def _current_ensemble(self, data: ImageData) -> Ensemble:
        if self._ensemble is None and has_final_model(self.run_directory):
            self._ensemble = Ensemble.load(self.run_directory)
        return super()._current_ensemble(data)


def open_run(
    path: str | Path,
    *,
    hypermodel: Any = None,
    recipe: Recipe | None = None,
    storage: str | None = None,
) -> Tuner:
    """Return the tuner of an earlier search, with its results, plots and methods.

    The images are loaded again from their folder when a method needs them, and only then.

    Args:
        path: The run directory of `kt-tuning run` or of a search in Python.
        hypermodel: The hypermodel of the search. Classes of `hypermodels` and "auto" are restored
            from the records if it is None. If it is your own code and not passed, results, plots,
            the report and the saved ensemble are available, but nothing can be trained.
        recipe: The recipe of the search; the recorded one if None.
        storage: URL of the database of the study, see `Tuner`; `study.db` if None. If `kt-tuning
            run` recorded a database, it must be named here or in the environment variable
            `KT_TUNING_STORAGE`: a run directory alone never makes this process connect to a
            database.

    Raises:
        StorageError: if the directory contains no search, a search of another hypermodel, one with
            an oracle of KerasTuner, or one in a storage that is not named.
    """
    run = Run(path)
    search, definition = run.read_search(), read_definition(run)
    assert definition is not None
    with content_checked(run.path / DEFINITION):
        options = tuner_arguments(run, search, definition, recipe)
        file = run.path / OPTIONS
        recorded = read_json(file).get("storage") if file.is_file() else None
        options["storage"] = storage or trusted_storage(recorded, file)
        known = recorded_hypermodel(run, definition) if hypermodel is None else hypermodel
    if known is None:
        return OpenedTuner(definition, **options)
    return Tuner(known, **options)


def tuner_arguments(
    run: Run, search: SearchRecord, definition: SearchDefinition, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Return the arguments of the `Tuner` of a recorded search, but for its hypermodel.

    Raises:
        StorageError: if it was searched with an oracle of KerasTuner, or with a recipe that cannot
            be made again and is not passed.
    """
    path = run.path
    if definition.oracle not in (None, OPTUNA):
        raise StorageError(
            f"{path} was searched with {definition.oracle}, an oracle of KerasTuner, which is "
            "not kept in it. Make its tuner as it was made for the search, such as "
            "kt_tuning.RandomSearch(…, directory=…, project_name=…)."
        )
    objectives = definition.objectives or [[search.objective, search.direction]]
    limits = definition.limits or {}
    return {
        "objective": [keras_tuner.Objective(*objective) for objective in objectives],
        "strategy": search.strategy if search.strategy in STRATEGIES else "auto",
        "max_trials": search.max_trials,
        "epochs": search.epochs,
        "folds": search.folds if search.folds > 1 else None,
        "executions_per_trial": search.executions,
        "recipe": recipe or _recipe(path, definition),
        "hyperparameters": definition.hyperparameters if definition.space else None,
        "seed": search.seed,
        "directory": path.absolute().parent,
        "project_name": path.absolute().name,
        **{f"max_{name}": limit for name, limit in limits.items()},
    }


def recorded_hypermodel(run: Run, definition: SearchDefinition) -> Any:
    """Return the hypermodel of a search if it is one of `hypermodels`; else None."""
    described = definition.hypermodel
    try:
        made = None if described is None else _made(described)
    except BackboneError as error:
        logger.warning(
            "The hypermodel of %s cannot be made again, and nothing can be trained: %s. Results, "
            "plots, the report and the saved ensemble are there.",
            run.path,
            error,
        )
        return None
    choice = run.read(AutoChoice, AUTO_CHOICE)
    return made if made is None or choice is None else Chosen(choice, made)


def _made(described: Mapping[str, Any]) -> keras_tuner.HyperModel | None:
    """Make a hypermodel of `hypermodels` from its description; None if it is another one."""
    name, state = described[NAME], described[STATE]
    if not isinstance(name, str):
        raise TypeError(f"the name of a hypermodel should be a text, not {name!r}")
    if name == Families.__name__ and "members" in state:
        members = {family: _made(member) for family, member in state["members"].items()}
        known = {family: member for family, member in members.items() if member is not None}
        return Families(known) if known and len(known) == len(members) else None
    kinds = {kind.__name__: kind for kind in HYPERMODELS.values()}
    if name not in kinds or "input_shape" not in state:
        return None
    arguments = {key: state[key] for key in _ARGUMENTS if key in state}
    if (backbone := state.get("backbone")) is not None:
        found = backbone.get("path") or backbone.get("name") if isinstance(backbone, dict) else None
        if found is None:
            return None
        arguments["backbone"] = found
    fixed = {**state.get("fixed", {}), **arguments}
    height, width, channels = state["input_shape"]
    return kinds[name]((height, width, channels), state["classes"], **fixed)


def _recipe(path: Path, definition: SearchDefinition) -> Recipe:
    known = definition.recipe or {}
    if isinstance(known.get("augment"), dict):
        raise StorageError(
            f"{path} was searched with an augmentation policy of your own, which is not kept in "
            "it. Pass the recipe: open_run(path, recipe=Recipe(augment=…))."
        )
    return Recipe(**known)


def _missing(definition: SearchDefinition) -> Callable[[keras_tuner.HyperParameters], Any]:
    """Return the stand-in for a hypermodel that is not known: it raises SearchError when called."""
    name = "build" if definition.hypermodel is None else definition.hypermodel[NAME]

    def build(hp: keras_tuner.HyperParameters) -> Any:
        raise SearchError(
            f"The hypermodel of this search, {name}, is code that its run directory does not "
            "have, or its pre-trained network is missing. Pass it: open_run(path, hypermodel=…)."
        )

    build.__name__ = name
    return build
