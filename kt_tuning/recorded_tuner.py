"""The tuner of an earlier search, made again from its run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.finalize import has_final_model
from kt_tuning.finalize.recorded_search import RecordedSearch
from kt_tuning.recipe import Recipe
from kt_tuning.search.definition import SearchDefinition
from kt_tuning.tuner import Tuner


class OpenedTuner(Tuner):
    """The tuner of a run whose hypermodel is code that the run directory does not have.

    Results, plots, the report, the saved ensemble, its evaluation and export need no hypermodel.
    Training raises SearchError.
    """

    def __init__(self, definition: SearchDefinition, hypermodel: Any, **options: Any) -> None:
        self._recorded = definition
        self._missing = hypermodel
        super().__init__(hypermodel, **options)

    def _populate_initial_space(self) -> None:
        """Take the space from the record: nothing is built."""
        self._defaults = self._recorded.values or {}
        self._default_model = self._recorded.model or []

    def search(self, *args: Any, **options: Any) -> None:
        """Refuse: there is nothing to build.

        Raises:
            SearchError: always.
        """
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
    """Return the tuner of an earlier search: its results, plots and methods.

    The images are loaded again, from where they were, only when a method needs them.

    Args:
        path: The run directory, of `kt-tuning run` or of a search in Python.
        hypermodel: What was searched. None for a class of `hypermodels` or "auto", which are made
            again from the records. If it is code of your own and not passed, results, plots, the
            report and the saved ensemble are there, but nothing can be trained.
        recipe: How the models were trained; as recorded if None.
        storage: URL of the database that keeps the study, see `Tuner`; as `kt-tuning run` recorded
            it, or `study.db`, if None.

    Raises:
        StorageError: if the directory holds no search, one of another hypermodel, or one with an
            oracle of KerasTuner.
    """
    recorded = RecordedSearch.read(Path(path), recipe)
    options = recorded.options if storage is None else {**recorded.options, "storage": storage}
    known = recorded.hypermodel if hypermodel is None else hypermodel
    if known is None:
        return OpenedTuner(recorded.definition, recorded.missing, **options)
    return Tuner(known, **options)
