"""The results of a tuner: tables, models, and the ensemble of the best trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner
import numpy as np
import optuna
import pandas as pd

from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.core.records import TrialRecord, pareto_records
from kt_tuning.core.units import count
from kt_tuning.run.layout import STUDY
from kt_tuning.search.best_models import BestModels, with_values
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.search.trial_starter import TrialOptions


class TunerResults(BestModels):
    """The results of a search; a base class of `Tuner`."""

    _oracle: SearchOracle
    _options: TrialOptions
    _strategy: str

    def __repr__(self) -> str:
        trials, limit = self._run.trials(), self.oracle.max_trials
        done = count(len(trials), "trial") if limit is None else f"{len(trials)} of {limit} trials"
        name, best = self.objectives[0].name, self._run.best_trials(1)
        value = f", best {name} {best[0].metrics[name]:.4f}" if best else ""
        return (
            f"Tuner({self._searched.wrapped!r}, objective={name!r}, "
            f"strategy={self._strategy!r}: {done}{value}, in {str(self.run_directory)!r})"
        )

    def enqueue(self, values: Mapping[str, Any]) -> None:
        """Try a configuration next, before the strategy proposes others.

        Args:
            values: By name; missing hyperparameters are chosen by the strategy.

        Raises:
            OptionError: if a name is unknown, not active or its value out of range, or `values` is
                no dict.
            SearchError: if the oracle is one of KerasTuner.
        """
        if not isinstance(values, Mapping):
            raise OptionError(f"A configuration is a dict of values by name. Received: {values!r}")
        self._oracle.enqueue(values)

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for `optuna.visualization` and optuna-dashboard.

        Raises:
            SearchError: if the oracle is one of KerasTuner, or an earlier search is to be deleted
                first.
        """
        if self._oracle.keeps_study and self._run.overwrite:
            raise SearchError(
                f"The earlier search in {self.run_directory} is deleted when the new one begins: "
                "call `search` first."
            )
        in_run = self._oracle.keeps_study and self._oracle.storage is None
        if in_run and self._run.trial_ids() and not (self.run_directory / STUDY).exists():
            raise StorageError(
                f"{self.run_directory} holds {len(self._run.trial_ids())} trials but no {STUDY}. "
                "Restore the file; `results` and `kt-tuning finalize` do not need it."
            )
        self._oracle.open()
        return self._oracle.study

    def results(self) -> pd.DataFrame:
        """Return a table with one row a trial, failed trials included.

        Metrics whose names begin with `val_` are those of the models that `get_best_models`
        returns; with folds or executions they are means. Columns: trial_id (the index), number,
        status, the metrics, best_epoch, epochs, seconds, parameters, message, began, backbone (the
        name of the pre-trained network, if there is one), deviation (of the objective over folds
        and executions, if there are several: standard deviation of one score), and `hp/<name>` for
        each hyperparameter (missing where inactive).
        """
        return _results_frame(self._run.trials())

    def history(self) -> pd.DataFrame:
        """Return one row an epoch: trial_id, number, epoch (from 0), seconds and metrics."""
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

        With one objective it is the best trial.
        """
        objectives = [(objective.name, objective.direction) for objective in self.objectives]
        return _results_frame(pareto_records(self._run.best_trials(), objectives))

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """Return the configurations of the best completed trials, best first."""
        if self._follows_oracle:
            best = self.oracle.get_best_trials(num_trials)
            return [trial.hyperparameters for trial in best]
        space = self.oracle.get_space()
        return [with_values(space, record) for record in self._run.best_trials(num_trials)]


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
