"""Models of finished trials, and the ensemble of the best of them."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.names import find_name
from kt_tuning.core.records import DataCard, TrialRecord
from kt_tuning.ensembling import (
    MEMBER_CHOICES,
    Ensemble,
    EnsembleRecord,
    Member,
    selection,
    serving_cost,
    weighted_sum,
)
from kt_tuning.evaluation import metric_of
from kt_tuning.run import trial_folder
from kt_tuning.run.layout import ENSEMBLE, PREDICTIONS, REFIT
from kt_tuning.search.keras_tuner_projects import stock_weights
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


class BestModels:
    """Makes models of the trials in a run directory.

    Args:
        hypermodel: Builds the models.
        run: Directory of the trials.
        folds: Folds of each trial, or None.
    """

    def __init__(
        self, hypermodel: keras_tuner.HyperModel, run: RunDirectory, folds: int | None
    ) -> None:
        self._hypermodel = hypermodel
        self._run = run
        self._folds = folds

    def best(self, count: int | None) -> list[TrialRecord]:
        """Return the best trials, best first.

        Raises:
            SearchError: if no trial has completed.
        """
        found = self._run.best_trials(count)
        if not found:
            raise SearchError("No trial has completed yet: call `search` first.")
        return found

    def models(self, hp: keras_tuner.HyperParameters, directory: Path) -> list[keras.Model]:
        """Return a trial's models at their best epochs, one a fold."""
        folds = [None] if self._folds is None else list(range(self._folds))
        models = []
        for path in (weights_file(directory, fold) for fold in folds):
            if not path.exists() and (stock := stock_weights(directory)) is not None:
                models.append(new_model(self._hypermodel, hp))
                load_stock_weights(models[-1], stock)
                continue
            # A pruned trial may lack the last folds.
            if path.exists() or len(folds) == 1:
                models.append(new_model(self._hypermodel, hp))
                load_weights(models[-1], path)
                save_with_keras_parts(models[-1])
        return models

    def model(self, hp: keras_tuner.HyperParameters, directory: Path) -> keras.Model:
        """Return a trial's model at its best epoch; with folds the mean of their models."""
        models = self.models(hp, directory)
        if len(models) == 1:
            return models[0]
        return weighted_sum(models, [1 / len(models)] * len(models), [1.0] * len(models))

    def load(self, record: TrialRecord, space: keras_tuner.HyperParameters) -> keras.Model:
        """Return the model of a finished trial."""
        return self.model(with_values(space, record), self._run.trial(record.trial_id))

    def load_folds(
        self, record: TrialRecord, space: keras_tuner.HyperParameters
    ) -> list[keras.Model]:
        """Return the models of a finished trial, one a fold."""
        return self.models(with_values(space, record), self._run.trial(record.trial_id))

    def ensemble(
        self,
        card: DataCard,
        labels: NDArray[np.int64],
        space: keras_tuner.HyperParameters,
        *,
        objective: str,
        size: int,
        solver: str,
        metric: str,
        members: str,
        cost_penalty: float,
        seed: int,
    ) -> Ensemble:
        """Combine the best trials; see `Tuner.ensemble`.

        Args:
            card: Card of the images.
            labels: (N,) labels of the images that were predicted.
            space: The space.
            objective: Name of the score that is recorded for each member.
            size: Number of candidates.
            solver: "auto", or a name in `SOLVERS`.
            metric: Name in `METRICS` of what the weights optimise.
            members: How candidates are chosen, a name in `MEMBER_CHOICES`.
            cost_penalty: Share of the loss that a doubling of the cost must gain.
            seed: Seed of the solver.
        """
        members = find_name(members, MEMBER_CHOICES, "choice of members")
        records = self._whole(self.best(None))
        candidates = [
            Member(
                name,
                predictions,
                record.metrics[objective],
                record.values,
                functools.partial(self.load, record, space),
                serving_cost(record, self._folds or 1),
                None if self._folds is None else functools.partial(self.load_folds, record, space),
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
            seed=seed,
        )
        record = ensemble.record_model()
        ensemble.card = card
        ensemble.provenance = self._provenance([records[name] for name in record.trial_ids])
        self._run.write_ensemble(record)
        return ensemble

    def recorded(self, card: DataCard, space: keras_tuner.HyperParameters) -> Ensemble | None:
        """Return the ensemble of `ensemble.json`; None if it has members from elsewhere.

        Args:
            card: Card of the images.
            space: The space.
        """
        record = self._run.read(EnsembleRecord, ENSEMBLE)
        trials = {trial.trial_id: trial for trial in self._run.best_trials()}
        if record is None or not set(record.trial_ids) <= set(trials):
            return None
        members = [trials[name] for name in record.trial_ids]
        models: list[Any] = [
            self._load_refitted(member, space)
            if record.refitted
            else self.load_folds(member, space)
            if record.folds > 1
            else self.load(member, space)
            for member in members
        ]
        return Ensemble(
            models,
            record.combination,
            record=record,
            card=card,
            provenance=self._provenance(members),
            sharpening=record.sharpening,
        )

    def _load_refitted(
        self, record: TrialRecord, space: keras_tuner.HyperParameters
    ) -> keras.Model:
        """Return a trial's model that was refitted on training and validation images."""
        model = new_model(self._hypermodel, with_values(space, record))
        folder = trial_folder(self._run.path / REFIT, record.trial_id)
        load_weights(model, weights_file(folder, None))
        return model

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
