"""The tuner: KerasTuner's interface, our trials."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import pandas as pd
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from rich.console import Console

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.errors import OptionError, SearchError
from kt_tuning.evaluation import METRICS
from kt_tuning.execution import Executor, Processes, Serial, automatic_workers
from kt_tuning.recipe import Recipe
from kt_tuning.records import SearchRecord, TrialRecord, write_json
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.loop import Limits, SearchLoop
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.results import history_frame, results_frame
from kt_tuning.search.run_directory import RunDirectory, versions
from kt_tuning.search.wrapping import RecipeHyperModel
from kt_tuning.trials import (
    ImageTask,
    KerasTask,
    Task,
    TrialSpec,
    build_model,
    load_weights,
    run_trial,
)
from kt_tuning.units import seconds

logger = logging.getLogger("kt_tuning")

DEFAULT_EPOCHS = 30


class Tuner(keras_tuner.Tuner):
    """Searches a hypermodel's space and keeps what each trial found.

    Everything that users of `keras_tuner.Tuner` know goes on working. Running the same script
    again resumes: finished trials are kept, an interrupted one starts anew.

    Attributes:
        run_directory: Where everything is written.
        recipe: How the models are trained.
    """

    def __init__(
        self,
        hypermodel: Any,
        *,
        objective: str | keras_tuner.Objective = "val_accuracy",
        strategy: str | BaseSampler | keras_tuner.Oracle = "random",
        pruner: str | BasePruner | None = None,
        max_trials: int | None = 20,
        epochs: int = DEFAULT_EPOCHS,
        recipe: Recipe | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        seed: int = 0,
        directory: str | Path = "runs",
        project_name: str = "search",
        overwrite: bool = False,
    ) -> None:
        """Prepare a search, or take up an earlier one.

        Args:
            hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` -> compiled model.
            objective: What is optimised: "val_loss" or "val_" and a name in
                `kt_tuning.evaluation.METRICS`; with data of your own, whatever Keras logs.
            strategy: A name in `STRATEGIES`, a sampler of Optuna, or a `keras_tuner.Oracle`,
                which then brings objective, limits and seed of its own.
            pruner: A name in `PRUNERS`, or a pruner of Optuna: which trials are cut short. None
                for what goes with the strategy.
            max_trials: Trials, at most, earlier runs of this search included; None for no limit.
            epochs: Epochs of a full training, unless `search` says otherwise.
            recipe: How the models are trained; `Recipe()` if None.
            hyperparameters: A space that is fixed or narrowed in advance.
            seed: Same seed, same trials and scores (if no time limit interferes).
            directory: Parent of the run directory; made if missing.
            project_name: Name of the run directory.
            overwrite: Whether an earlier search in the run directory is deleted.

        Raises:
            OptionError: if an argument is wrong.
            StorageError: if the run directory cannot be written or holds something else.
        """
        if max_trials is not None and max_trials < 1:
            raise OptionError(f"`max_trials` is at least 1, or None. Received: {max_trials}")
        _check_epochs(epochs)
        if not isinstance(seed, int) or seed < 0:
            raise OptionError(f"`seed` is a whole number, 0 or more. Received: seed={seed!r}")
        self.recipe = recipe or Recipe()
        self.seed = seed
        self._epochs = epochs
        self._strategy = strategy if isinstance(strategy, str) else type(strategy).__name__
        self._data: ImageData | None = None
        wrapped = RecipeHyperModel(hypermodel, self.recipe)
        oracle = strategy
        if not isinstance(oracle, keras_tuner.Oracle):
            oracle = OptunaOracle(
                oracle,
                objective=_objective(objective),
                max_trials=max_trials,
                hyperparameters=hyperparameters,
                seed=seed,
                pruner=pruner,
                epochs=epochs,
            )
        self.run_directory = Path(directory) / project_name
        self._run = RunDirectory(self.run_directory, oracle.objective, overwrite=overwrite)
        with _quiet():
            oracle.verbose = 0
            super().__init__(
                oracle=oracle,
                hypermodel=wrapped,
                directory=str(directory),
                project_name=project_name,
            )

    def search(
        self,
        *args: Any,
        epochs: int | None = None,
        time_limit: str | float | None = None,
        workers: int | str = 1,
        verbose: bool | int = True,
        callbacks: list[keras.callbacks.Callback] | None = None,
        **fit_kwargs: Any,
    ) -> None:
        """Run trials until there are `max_trials`, time is up or the space is exhausted.

        `search(data)` with an `ImageData`, or as in KerasTuner `search(x, y,
        validation_data=(x_val, y_val))` and everything else that `keras.Model.fit` takes. Ctrl-C
        ends the search and keeps what is done.

        Args:
            *args: An `ImageData`, or the positional arguments of `fit`.
            epochs: Epochs of a full training; those given to `Tuner` if None.
            time_limit: Wall-clock of all trials, earlier runs of this search included: "30m",
                "1h30m" or seconds. A trial that would not end in time is shortened.
            workers: Trials at the same time. 1 runs them in this process; more run each in a
                process of its own, with the processors divided among them; "auto" is a process a
                processor, as far as memory goes.
            verbose: Whether to show the live view.
            callbacks: Copied for each trial.
            **fit_kwargs: Further arguments of `fit`, without an `ImageData`.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if every trial fails.
            StorageError: if the run directory holds a search on other data.
        """
        epochs = self._epochs if epochs is None else epochs
        _check_epochs(epochs)
        limit = seconds(time_limit)
        task = self._task(args, {**fit_kwargs, "callbacks": callbacks or []})
        self._write_search(epochs, limit)
        executor = self._executor(workers)
        spent = self._run.seconds_spent()
        limits = Limits(epochs, None if limit is None else time.monotonic() + limit - spent)
        display = SearchDisplay(
            self.oracle.objective.name,
            max_trials=self.oracle.max_trials,
            time_limit=limit,
            used=spent,
            console=Console(stderr=True) if verbose else None,
        )
        self.on_search_begin()
        try:
            with display, _quiet(), _light_collections():
                executor.run(
                    functools.partial(run_trial, task=task, objective=self.oracle.objective),
                    SearchLoop(
                        self, self._run, display, limits, functools.partial(self._specify, limits)
                    ),
                )
        except KeyboardInterrupt:
            logger.warning(
                "Interrupted. %d finished trials are kept in %s; run the same search again to "
                "go on.",
                len(self._run.trials()),
                self.run_directory,
            )
        self.on_search_end()
        self._raise_if_all_failed()

    def _specify(self, limits: Limits, trial: Any) -> TrialSpec:
        number = self.oracle.start_order.index(trial.trial_id)
        values = trial.hyperparameters.values
        # KerasTuner's Hyperband says how far a trial is trained, and from which one it goes on.
        earlier = values.get("tuner/trial_id")
        return TrialSpec(
            trial_id=trial.trial_id,
            number=number,
            hp=trial.hyperparameters,
            epochs=min(limits.epochs, values.get("tuner/epochs", limits.epochs)),
            initial_epoch=values.get("tuner/initial_epoch", 0),
            weights=None if earlier is None else self._run.weights(earlier),
            seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            directory=self._run.trial(trial.trial_id),
            deadline=limits.deadline,
            # The first trial is worth having however little it is trained.
            least_epochs=limits.worthwhile_epochs if self._run.best_trials(1) else 0,
        )

    def _executor(self, workers: int | str) -> Executor:
        if workers == "auto":
            workers = automatic_workers()
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise OptionError(
                f"`workers` is a whole number, at least 1, or 'auto'. Received: {workers!r}"
            )
        if workers == 1:
            return Serial()
        return Processes(workers, logs=self.run_directory / "workers")

    def _task(self, args: tuple[Any, ...], fit_kwargs: dict[str, Any]) -> Task:
        if args and isinstance(args[0], ImageData):
            data = args[0]
            callbacks = fit_kwargs.pop("callbacks")
            if len(args) > 1 or fit_kwargs:
                extra = [repr(type(arg).__name__) for arg in args[1:]] + list(fit_kwargs)
                raise OptionError(
                    "With an ImageData, `search` takes epochs, time_limit, verbose and callbacks; "
                    f"batch size and augmentation belong to `Recipe`. Received: {', '.join(extra)}"
                )
            self._check_model(data)
            self._run.claim(data)
            self._data = data
            return ImageTask(
                self.hypermodel,
                data,
                self.recipe,
                objective=self.oracle.objective.name,
                callbacks=callbacks,
            )
        if not args and "x" not in fit_kwargs:
            raise OptionError("`search` needs data: an ImageData, or x and y as for keras' fit.")
        return KerasTask(self.hypermodel, args, fit_kwargs)

    def _check_model(self, data: ImageData) -> None:
        """Find a hypermodel for other images or classes before the first epoch."""
        model = build_model(self.hypermodel, self.get_default_hyperparameters())
        shapes = (model.input_shape[1:], model.output_shape[1:])
        wanted = (tuple(data.input_shape), (data.classes,))
        if shapes != wanted:
            raise OptionError(
                f"The hypermodel maps {shapes[0]} to {shapes[1]}, the data need {wanted[0]} to "
                f"{wanted[1]}. Make it with (data.input_shape, data.classes)."
            )

    def _write_search(self, epochs: int, limit: float | None) -> None:
        self._run.write_search(
            SearchRecord(
                objective=self.oracle.objective.name,
                direction=self.oracle.objective.direction,
                strategy=self._strategy,
                seed=self.seed,
                epochs=epochs,
                max_trials=self.oracle.max_trials,
                time_limit=limit,
                hypermodel=self.hypermodel.title,
                versions=versions(),
            )
        )

    def _raise_if_all_failed(self) -> None:
        trials = self._run.trials()
        if trials and not self._run.best_trials(1):
            raise SearchError(
                f"All {len(trials)} trials failed; the first one: {trials[0].message}"
            )

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for `optuna.visualization` and optuna-dashboard.

        Raises:
            SearchError: if the oracle is one of KerasTuner's.
        """
        if not isinstance(self.oracle, OptunaOracle):
            raise SearchError(
                f"A {type(self.oracle).__name__} keeps no Optuna study. Use a strategy by name."
            )
        return self.oracle.study

    def results(self) -> pd.DataFrame:
        """A row a trial, failed ones included; see `results_frame`."""
        return results_frame(self._run.trials())

    def history(self) -> pd.DataFrame:
        """A row an epoch of every trial; see `history_frame`."""
        return history_frame(self.run_directory, self._run.trials())

    def get_default_hyperparameters(self) -> keras_tuner.HyperParameters:
        """The default configuration: trial 0 of most strategies."""
        space = self.oracle.get_space()
        space.values = SearchSpace(space.space).defaults()
        return space

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """The configurations of the best completed trials, best first."""
        return [self._hyperparameters(record) for record in self._run.best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """The models of the best completed trials, at their best epoch, best first."""
        return [self._load(record) for record in self._run.best_trials(num_models)]

    def best_model(self) -> keras.Model:
        """The best trial's model at its best epoch.

        Raises:
            SearchError: if no trial has completed.
        """
        return self._load(self._some_trials(1)[0])

    def load_model(self, trial: Any) -> keras.Model:
        """The model of a KerasTuner trial, at its best epoch."""
        model = build_model(self.hypermodel, trial.hyperparameters)
        load_weights(model, self._run.weights(trial.trial_id))
        return model

    def ensemble(self, size: int = 5, solver: str = "auto") -> Ensemble:
        """Combine the best trials by weights fitted on the validation split.

        Args:
            size: Candidates: the best so many completed trials. Those whose weight comes out as
                zero are left out.
            solver: "auto", or a name in `SOLVERS`.

        Returns:
            The ensemble; also written as `ensemble.json`. A single member if nothing beats it.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if no trial has completed, or trials kept no validation predictions.
        """
        if size < 1:
            raise OptionError(f"`size` is a number of trials, at least 1. Received: size={size}")
        if self._data is None:
            raise SearchError("An ensemble needs a search on an ImageData: call `search(data)`.")
        chosen = self._some_trials(size)
        with _quiet():
            ensemble = Ensemble.fit(
                [functools.partial(self._load, record) for record in chosen],
                np.stack([self._run.predictions(r.trial_id) for r in chosen]),
                self._data.validation.labels,
                solver=solver,
                seed=self.seed,
                trials={r.trial_id: r.metrics[self.oracle.objective.name] for r in chosen},
                card=self._data.card,
                provenance=self._provenance(chosen),
            )
        assert ensemble.record is not None
        self._run.write_ensemble(ensemble.record)
        return ensemble

    def _provenance(self, chosen: list[TrialRecord]) -> dict[str, Any]:
        return {
            "search": self._run.read_search().to_json(),
            "trials": {
                r.trial_id: {"values": r.values, "metrics": r.metrics, "best_epoch": r.best_epoch}
                for r in chosen
            },
        }

    def _some_trials(self, count: int) -> list[TrialRecord]:
        best = self._run.best_trials(count)
        if not best:
            raise SearchError("No trial has completed yet: call `search` first.")
        return best

    def _hyperparameters(self, record: TrialRecord) -> keras_tuner.HyperParameters:
        space = self.oracle.get_space()
        space.values = dict(record.values)
        return space

    def _load(self, record: TrialRecord) -> keras.Model:
        # Not `build_model`: it clears Keras' session, and with it the names of other members.
        model = self.hypermodel.build(self._hyperparameters(record))
        load_weights(model, self._run.weights(record.trial_id))
        return model

    def save(self) -> None:
        """Write the state of the search, atomically."""
        self.oracle.save()
        write_json(self._get_tuner_fname(), self.get_state())


def _objective(objective: str | keras_tuner.Objective) -> keras_tuner.Objective:
    if isinstance(objective, keras_tuner.Objective):
        return objective
    name = objective.removeprefix("val_")
    if objective.startswith("val_") and name in METRICS:
        return keras_tuner.Objective(objective, METRICS[name].direction)
    try:
        return keras_tuner.Oracle(objective=objective).objective
    except (ValueError, TypeError):
        raise OptionError(
            f"Unknown objective {objective!r}. Known: val_loss, "
            f"{', '.join(f'val_{name}' for name in METRICS)}. For a metric of your own pass "
            "keras_tuner.Objective(name, direction)."
        ) from None


def _check_epochs(epochs: int) -> None:
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise OptionError(f"`epochs` is a whole number, at least 1. Received: epochs={epochs!r}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep KerasTuner's prints and the deprecations that it causes from users."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
        yield


@contextlib.contextmanager
def _light_collections() -> Iterator[None]:
    """Spare the collection after each trial the million objects that were there before.

    It frees the last trial's model; looking through all of TensorFlow would take longer than that.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
