"""Models of finished trials, and the ensemble of the best of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.core.records import DataCard, TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import (
    COST_PENALTY,
    MEMBER_CHOICES,
    Combination,
    Ensemble,
    EnsembleRecord,
    Member,
    combine_models,
    selection,
    serving_cost,
)
from kt_tuning.evaluation import metric_of
from kt_tuning.run import trial_folder
from kt_tuning.run.layout import ENSEMBLE, PREDICTIONS, REFIT
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials import (
    load_stock_weights,
    load_weights,
    new_model,
    save_with_keras_parts,
    weights_file,
)

logger = logging.getLogger("kt_tuning")

LIBRARY = 50
"""Best trials that the members of an ensemble are selected from, unless more are requested. The
selection is repeated for each fold; worse trials are not selected in any."""


STOCK_WEIGHTS = "checkpoint.weights.h5"
"""File of a trial's folder: the weights that KerasTuner keeps, of the best epoch."""


class BestModels(keras_tuner.Tuner):
    """A tuner that makes the models of its best trials, and ensembles of them.

    Attributes:
        run_directory: Directory of the search.
        objectives: What is optimised, as KerasTuner's objectives; the first decides what is best.
        seed: Seed of the search.
    """

    run_directory: Path
    objectives: list[keras_tuner.Objective]
    seed: int
    _ensemble: Ensemble | None = None
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

    def ensemble(
        self,
        size: int = 5,
        solver: str = "auto",
        *,
        metric: str = "log_loss",
        members: str = "best",
        cost_penalty: float = COST_PENALTY,
    ) -> Ensemble:
        """Combine the best trials by weights that are fitted on their validation predictions.

        Everything is read from the run directory: a tuner that is made again need not search
        again. After an interruption finished and paused trials are combined. The score that the
        record calls cross-fitted is measured on images that neither weights nor members were chosen
        on; it is not corrected for the choice of each member's best epoch.

        Args:
            size: Number of candidates: completed trials with distinct configurations. Candidates
                with weight 0 are left out.
            solver: "auto", or a name in `SOLVERS`.
            metric: Metric that the weights optimise, a name in `METRICS`.
            members: "best" takes the best scores, "diverse" adds the candidate that improves the
                mean most.
            cost_penalty: Share of the loss (of 1 - score) that a doubling of the parameters must
                gain, in [0, 1). With 0 the costs do not matter.

        Returns:
            The ensemble, also written as `ensemble.json`; one member if nothing is better.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if no trial has completed, or trials kept no validation predictions.
        """
        members = find_name(members, MEMBER_CHOICES, "choice of members")
        card = self._run.data_card()
        if card is None:
            raise SearchError("An ensemble needs a search on an ImageData: call `search(data)`.")
        labels = self._run.read_split().predicted_labels
        records = self._whole(self._run.scored_trials())
        objective = self.objectives[0].name
        with quiet_keras_tuner():
            candidates = [
                Member(
                    name,
                    predictions,
                    record.metrics[objective],
                    record.values,
                    functools.partial(self._load, record),
                    serving_cost(record, self._folds or 1),
                    None if self._folds is None else functools.partial(self._load_folds, record),
                )
                for name, record in records.items()
                # A trial that was pruned before its last fold lacks rows.
                if (predictions := self._run.predictions(name)) is not None
                and len(predictions) == len(labels)
            ]
            if not candidates:
                raise SearchError("No trial has been trained on all folds: search longer.")
            candidates = candidates[: max(LIBRARY, 2 * size)]
            ensemble = Ensemble.from_members(
                candidates,
                labels,
                solver=solver,
                metric=metric,
                cost_penalty=cost_penalty,
                select=selection(candidates, members, size, metric=metric_of(objective)),
                seed=self.seed,
            )
        record = ensemble.record_model()
        ensemble.card = card
        ensemble.provenance = self._provenance([records[name] for name in record.trial_ids])
        record.save(self.run_directory / ENSEMBLE)
        self._ensemble = ensemble
        return ensemble

    def _current_ensemble(self, data: ImageData) -> Ensemble:
        """Return the ensemble that `ensemble` made last, also before a restart; or a new one."""
        if self._ensemble is None:
            with quiet_keras_tuner():
                self._ensemble = self._recorded_ensemble(data.card)
        return self.ensemble() if self._ensemble is None else self._ensemble

    def _recorded_ensemble(self, card: DataCard) -> Ensemble | None:
        """Return the ensemble of `ensemble.json`; None if it has members from elsewhere."""
        record = self._run.read(EnsembleRecord, ENSEMBLE)
        trials = {trial.trial_id: trial for trial in self._run.best_trials()}
        if record is None or not set(record.trial_ids) <= set(trials):
            return None
        members = [trials[name] for name in record.trial_ids]
        load: Callable[[TrialRecord], Any] = self._load
        if record.refitted:
            load = self._load_refitted
        elif record.folds > 1:
            load = self._load_folds
        return Ensemble(
            [load(member) for member in members],
            record.combination,
            record=record,
            card=card,
            provenance=self._provenance(members),
            sharpening=record.sharpening,
        )

    def _load(self, record: TrialRecord) -> keras.Model:
        """Return the model of a finished trial."""
        return self._mean_model(self._values(record), self._run.trial(record.trial_id))

    def _load_folds(self, record: TrialRecord) -> list[keras.Model]:
        """Return the models of a finished trial, one a fold."""
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
        """Return a trial's models at their best epochs, one a fold."""
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

    def _whole(self, records: list[TrialRecord]) -> dict[str, TrialRecord]:
        """Return the trials whose files exist by id; warn of the others.

        Raises:
            SearchError: if no trial has kept validation predictions.
            StorageError: if the weights of all others are gone.
        """
        whole = {}
        for record in records:
            folder = self._run.trial(record.trial_id)
            if lost := [
                name for name in (PREDICTIONS, "*.weights.h5") if not any(folder.glob(name))
            ]:
                logger.warning(
                    "Trial %d is left out: %s is not in %s.", record.number, lost[0], folder
                )
            else:
                whole[record.trial_id] = record
        if not whole and self._run.predictions(records[0].trial_id) is None:
            raise SearchError(
                f"Trial {records[0].trial_id} kept no validation predictions: its model does not "
                "return probabilities (N, classes)."
            )
        if not whole:
            raise StorageError(
                f"The weights of all trials of {self._run.path} are gone. Restore the files, or "
                "search again with another project_name."
            )
        return whole

    def _provenance(self, chosen: list[TrialRecord]) -> dict[str, Any]:
        return {
            "search": self._run.read_search().to_json(),
            "trials": {record.trial_id: record.provenance() for record in chosen},
        }


def with_values(
    space: keras_tuner.HyperParameters, record: TrialRecord
) -> keras_tuner.HyperParameters:
    """Return the space with the values of a trial."""
    filled = space.copy()
    filled.values = dict(record.values)
    return filled
