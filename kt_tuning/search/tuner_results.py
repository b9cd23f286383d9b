"""The results of a tuner: tables, models, and the ensemble of the best trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import optuna
import pandas as pd

from kt_tuning.core.errors import SearchError
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.ensembling import COST_PENALTY, Ensemble
from kt_tuning.search.best_models import BestModels, with_values
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.objectives import pareto_records
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.results import history_frame, results_frame
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.search.trial_starter import TrialOptions


class TunerResults(keras_tuner.Tuner):
    """The results of a search; the base class of `Tuner`.

    Attributes:
        run_directory: Directory of the search.
        objectives: What is optimised, as KerasTuner's objectives; the first decides what is best.
        seed: Seed of the search.
    """

    run_directory: Path
    objectives: list[keras_tuner.Objective]
    seed: int
    _oracle: SearchOracle
    _best_models: BestModels
    _ensemble: Ensemble | None = None
    _follows_oracle: bool
    _options: TrialOptions
    _run: RunDirectory
    _searched: RecipeHyperModel
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
            OptionError: if a name is unknown, not active or its value out of range.
            SearchError: if the oracle is one of KerasTuner.
        """
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
        self._oracle.open()
        return self._oracle.study

    def results(self) -> pd.DataFrame:
        """Return a table with one row a trial, failed trials included; see `results_frame`.

        Metrics named "val_…" are those of the models that `get_best_models` returns; with folds or
        executions they are means.
        """
        return results_frame(self._run.trials())

    def history(self) -> pd.DataFrame:
        """Return a table with one row an epoch of every trial; see `history_frame`."""
        return history_frame(self.run_directory, self._run.trials())

    def pareto(self) -> pd.DataFrame:
        """Return the rows of `results` that no other row dominates, best first.

        With one objective it is the best trial.
        """
        return results_frame(pareto_records(self._run.best_trials(), self.objectives))

    def get_default_hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the default configuration: trial 0 of most strategies."""
        space = self.oracle.get_space()
        space.values = SearchSpace(space.space).defaults()
        return space

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """Return the configurations of the best completed trials, best first."""
        if self._follows_oracle:
            best = self.oracle.get_best_trials(num_trials)
            return [trial.hyperparameters for trial in best]
        space = self.oracle.get_space()
        return [with_values(space, record) for record in self._run.best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """Return the models of the best completed trials at their best epoch, best first."""
        if self._follows_oracle:
            return [self.load_model(trial) for trial in self.oracle.get_best_trials(num_models)]
        space = self.oracle.get_space()
        return [
            self._best_models.load(record, space) for record in self._run.best_trials(num_models)
        ]

    def best_model(self) -> keras.Model:
        """Return the best trial's model at its best epoch; with folds the mean of their models.

        Raises:
            SearchError: if no trial has completed.
        """
        return self._best_models.load(self._best_models.best(1)[0], self.oracle.get_space())

    def load_model(self, trial: Any) -> keras.Model:
        """Return the model of a KerasTuner trial at its best epoch."""
        return self._best_models.model(trial.hyperparameters, self._run.trial(trial.trial_id))

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
        card = self._run.data_card()
        if card is None:
            raise SearchError("An ensemble needs a search on an ImageData: call `search(data)`.")
        labels = self._run.read_split().predicted_labels
        with quiet_keras_tuner():
            self._ensemble = self._best_models.ensemble(
                card,
                labels,
                self.oracle.get_space(),
                objective=self.objectives[0].name,
                size=size,
                solver=solver,
                metric=metric,
                members=members,
                cost_penalty=cost_penalty,
                seed=self.seed,
            )
        return self._ensemble

    def _current_ensemble(self, data: ImageData) -> Ensemble:
        """Return the ensemble that `ensemble` made last, also before a restart; or a new one."""
        if self._ensemble is None:
            with quiet_keras_tuner():
                self._ensemble = self._best_models.recorded(data.card, self.oracle.get_space())
        return self.ensemble() if self._ensemble is None else self._ensemble
