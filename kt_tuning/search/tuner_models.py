"""The models of a search's trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner

from kt_tuning.core.records import TrialRecord
from kt_tuning.ensembling import Combination, combine_models
from kt_tuning.run import trial_folder
from kt_tuning.run.layout import REFIT
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials import (
    load_stock_weights,
    load_weights,
    new_model,
    save_with_keras_parts,
    weights_file,
)

STOCK_WEIGHTS = "checkpoint.weights.h5"
"""File of a trial's folder: the weights that KerasTuner keeps, of the best epoch."""


class TunerModels(keras_tuner.Tuner):
    """Loads the models of trials, each at its best epoch."""

    _folds: int | None
    _follows_oracle: bool
    _run: RunDirectory
    _searched: RecipeHyperModel

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """Return the models of the best completed trials at their best epoch, best first."""
        if self._follows_oracle:
            return [self.load_model(trial) for trial in self.oracle.get_best_trials(num_models)]
        return [self._load(record) for record in self._run.best_trials(num_models)]

    def best_model(self) -> keras.Model:
        """Return the best trial's model at its best epoch; with folds the mean of their models.

        Raises:
            SearchError: if no trial has completed.
        """
        return self._load(self._run.scored_trials()[0])

    def load_model(self, trial: Any) -> keras.Model:
        """Return the model of a KerasTuner trial at its best epoch."""
        return self._mean_model(trial.hyperparameters, self._run.trial(trial.trial_id))

    def _load(self, record: TrialRecord) -> keras.Model:
        """Return the model of a finished trial."""
        return self._mean_model(self._values(record), self._run.trial(record.trial_id))

    def _load_folds(self, record: TrialRecord) -> list[keras.Model]:
        """Return the models of a finished trial, one per fold."""
        return self._fold_models(self._values(record), self._run.trial(record.trial_id))

    def _load_refitted(self, record: TrialRecord) -> keras.Model:
        """Return a trial's model that was refitted on training and validation images."""
        model = new_model(self._searched, self._values(record))
        folder = trial_folder(self._run.path / REFIT, record.trial_id)
        load_weights(model, weights_file(folder, None))
        return model

    def _values(self, record: TrialRecord) -> keras_tuner.HyperParameters:
        return with_values(self.oracle.get_space(), record)

    def _mean_model(self, hp: keras_tuner.HyperParameters, directory: Path) -> keras.Model:
        models = self._fold_models(hp, directory)
        if len(models) == 1:
            return models[0]
        return combine_models(models, Combination((1 / len(models),) * len(models)))

    def _fold_models(self, hp: keras_tuner.HyperParameters, directory: Path) -> list[keras.Model]:
        """Return a trial's models at their best epochs, one per fold."""
        folds = [None] if self._folds is None else list(range(self._folds))
        models = []
        stock = directory / STOCK_WEIGHTS
        for path in (weights_file(directory, fold) for fold in folds):
            if not path.exists() and stock.is_file():
                models.append(new_model(self._searched, hp))
                load_stock_weights(models[-1], stock)
            # A pruned trial may lack the last folds.
            elif path.exists() or len(folds) == 1:
                models.append(new_model(self._searched, hp))
                load_weights(models[-1], path)
                save_with_keras_parts(models[-1])
        return models


def with_values(
    space: keras_tuner.HyperParameters, record: TrialRecord
) -> keras_tuner.HyperParameters:
    """Return the space with the values of a trial."""
    filled = space.copy()
    filled.values = dict(record.values)
    return filled
