"""The results of a tuner: tables, models, and the ensemble of the best trials."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pandas as pd

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.core.records import DataCard, TrialRecord, pareto_records
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.ensembling import (
    COST_PENALTY,
    MEMBER_CHOICES,
    Ensemble,
    EnsembleRecord,
    Member,
    selection,
    serving_cost,
    with_mirror_images,
)
from kt_tuning.evaluation import metric_of
from kt_tuning.run.layout import ENSEMBLE, PREDICTIONS
from kt_tuning.search.tuner_models import TunerModels

logger = logging.getLogger("kt_tuning")

LIBRARY = 50
"""Best trials that the members of an ensemble are selected from, unless more are requested. The
selection is repeated for each fold; worse trials are not selected in any."""


class TunerResults(TunerModels):
    """The results of a search: tables, the models of the best trials, and ensembles of them.

    Attributes:
        run_directory: Directory of the search.
        objectives: KerasTuner's objectives; trials are ranked by the first one.
        seed: Seed of the search.
    """

    run_directory: Path
    objectives: list[keras_tuner.Objective]
    seed: int
    _ensemble: Ensemble | None = None
    _strategy: str

    def __repr__(self) -> str:
        trials, limit = self._run.trials(), self.oracle.max_trials
        done = count(len(trials), "trial") if limit is None else f"{len(trials)} of {limit} trials"
        name, best = self.objectives[0].name, self._run.best_trials(1)
        value = f", best {name} {best[0].metrics[name]:.4f}" if best else ""
        return (
            f"Tuner({self._searched.shown}, objective={name!r}, "
            f"strategy={self._strategy!r}: {done}{value}, in {str(self.run_directory)!r})"
        )

    def results(self) -> pd.DataFrame:
        """Return a table with one row per trial, including failed trials.

        Metrics whose names begin with `val_` are those of the models that `get_best_models`
        returns; with folds or executions they are means. Columns: trial_id (the index), number,
        status, the metrics, best_epoch, epochs, seconds, parameters, message, began, backbone (the
        name of the pre-trained network, if there is one), deviation (standard deviation of the
        objective over folds and executions, if there are several), and `hp/<name>` for each
        hyperparameter (missing if it is inactive).
        """
        return _results_frame(self._run.trials())

    def history(self) -> pd.DataFrame:
        """Return one row per epoch: trial_id, number, epoch from 0, seconds, data_wait, metrics."""
        frames = []
        for record in self._run.trials():
            curve = self._run.history(record.trial_id)
            if curve:
                whole = {name: int for name in ("run", "epoch") if name in curve}
                frame = pd.DataFrame(curve).astype(whole)
                frame.insert(0, "trial_id", record.trial_id)
                frame.insert(1, "number", record.number)
                frames.append(frame)
        if not frames:
            return pd.DataFrame(columns=["trial_id", "number", "epoch"])
        return pd.concat(frames, ignore_index=True)

    def pareto(self) -> pd.DataFrame:
        """Return the rows of `results` that no other row dominates, best first.

        With one objective this is the best trial.
        """
        objectives = [(objective.name, objective.direction) for objective in self.objectives]
        return _results_frame(pareto_records(self._run.best_trials(), objectives))

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """Return the configurations of the best completed trials, best first."""
        if self._follows_oracle:
            best = self.oracle.get_best_trials(num_trials)
            return [trial.hyperparameters for trial in best]
        return [self._values(record) for record in self._run.best_trials(num_trials)]

    def ensemble(
        self,
        size: int = 5,
        solver: str = "auto",
        *,
        metric: str = "log_loss",
        members: str = "best",
        cost_penalty: float = COST_PENALTY,
        mirror: bool = True,
    ) -> Ensemble:
        """Combine the best trials, with weights that are fitted on their validation predictions.

        Everything is read from the run directory, so it also works after a restart without another
        call of `search`. After an interruption finished and paused trials are combined. The score
        that the record calls cross-fitted is measured on images that were used to choose neither
        weights nor members; it is not corrected for the choice of each member's best epoch, nor for
        that of the members that predict mirror images.
        `kt_tuning.Tuner` also writes the ensemble as a Keras file into the run directory, for
        `open_run` and the command line.

        Args:
            size: Number of candidates: completed trials with distinct configurations. Candidates
                with weight 0 are left out.
            solver: "auto", or a name in `kt_tuning.ensembling.SOLVERS`.
            metric: Metric that the weights optimise, a name in `kt_tuning.evaluation.METRICS`.
            members: "best" chooses the trials with the best scores; "diverse" adds trials one by
                one, each time the one that improves the mean of the predictions most.
            cost_penalty: Share by which each doubling of the number of parameters must reduce the
                loss (or 1 - score), in [0, 1). With 0 the size does not matter.
            mirror: Whether members whose training images were mirrored may predict the mean over an
                image and its mirror image, which takes twice the time; see
                `kt_tuning.ensembling.with_mirror_images`.

        Returns:
            The ensemble, also written as `ensemble.json`; it has one member if no combination is
            better.

        Raises:
            OptionError: if an argument is invalid.
            SearchError: if no trial has completed, or trials kept no validation predictions.
        """
        members = find_name(members, MEMBER_CHOICES, "choice of members")
        card = self._run.data_card()
        if card is None:
            raise SearchError(
                "An ensemble needs a search on an ImageData: call `search(data)`. "
                f"{self._run.path} has no data.json."
            )
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
            if mirror:
                candidates = [
                    with_mirror_images(
                        member,
                        self._run.mirrored_predictions(member.name),
                        labels,
                        cost_penalty=cost_penalty,
                    )
                    for member in candidates
                ]
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

        def models(member: TrialRecord) -> list[keras.Model]:
            if record.folds > 1 and not record.refitted:
                return self._load_folds(member)
            return [self._load_refitted(member) if record.refitted else self._load(member)]

        return Ensemble(
            record.served([models(member) for member in members]),
            record.combination,
            record=record,
            card=card,
            provenance=self._provenance(members),
            sharpening=record.sharpening,
        )

    def _whole(self, records: list[TrialRecord]) -> dict[str, TrialRecord]:
        """Return the trials whose files exist by id, at least one; warn of the others."""
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


def _results_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    rows = []
    for record in records:
        row = record.to_json()
        values, metrics = row.pop("values"), row.pop("metrics")
        scores, backbone = row.pop("scores"), row.pop("backbone")
        if backbone is not None:
            row["backbone"] = backbone["name"]
        if len(scores) > 1:
            row["deviation"] = float(np.std(scores, ddof=1))
        start = {key: row.pop(key) for key in ("trial_id", "number", "status")}
        rows.append(
            {**start, **metrics, **row, **{f"hp/{name}": value for name, value in values.items()}}
        )
    frame = pd.DataFrame(rows, columns=None if rows else ["trial_id", "number", "status"])
    return frame.set_index("trial_id")
