"""The tuner: KerasTuner's interface around our trials."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from kt_tuning.data import ImageData
from kt_tuning.errors import full_disk_explained
from kt_tuning.execution import Ray
from kt_tuning.recipe import Recipe
from kt_tuning.records import write_json
from kt_tuning.search.auto import AUTO, CHOICE, Chosen, chosen
from kt_tuning.search.best_models import BestModels
from kt_tuning.search.chief import is_chief, is_worker
from kt_tuning.search.data_tasks import make_tasks, split_folds
from kt_tuning.search.definition import (
    SearchDefinition,
    describe_hypermodel,
    describe_model,
    describe_recipe,
    unchanged,
)
from kt_tuning.search.identity import Identity, named
from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.options import (
    Objectives,
    check_limits,
    check_settings,
    find_workers,
    make_executor,
)
from kt_tuning.search.quiet import quiet, without_repetitions
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.samplers import strategy_name
from kt_tuning.search.session import Limits, SearchSession, check_results, trials_left
from kt_tuning.search.space_discovery import discover_space
from kt_tuning.search.stock_oracle import adapt, make_oracle
from kt_tuning.search.trial_starter import TrialOptions
from kt_tuning.search.tuner_results import TunerResults
from kt_tuning.tracking import Tracker, find_trackers
from kt_tuning.units import seconds


class Tuner(TunerResults):
    """Searches the space of a hypermodel and keeps the result of every trial.

    It is a `keras_tuner.Tuner` with the same methods. Running the same script again resumes the
    search: finished trials are kept and interrupted ones continue after their last finished epoch.

    Attributes:
        run_directory: Directory of all files of the search.
        recipe: How the models are trained.
        objectives: What is optimised, as KerasTuner's objectives; the first decides what is best.
        choice: The families that "auto" has chosen for the images, and why; else None.
    """

    def __init__(
        self,
        hypermodel: Any = AUTO,
        *,
        data: ImageData | None = None,
        objective: Objectives = "val_accuracy",
        strategy: str | BaseSampler | keras_tuner.Oracle = "auto",
        pruner: str | BasePruner | None = None,
        max_trials: int | None = 20,
        epochs: int = 30,
        folds: int | None = None,
        executions_per_trial: int = 1,
        max_parameters: int | None = None,
        max_flops: int | None = None,
        max_latency: float | None = None,
        recipe: Recipe | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        warm_start: str | Path | optuna.Study | None = None,
        seed: int = 0,
        directory: str | Path = "runs",
        project_name: str = "search",
        overwrite: bool = False,
        storage: str | None = None,
        tracker: str | Tracker | Sequence[str | Tracker] | None = None,
    ) -> None:
        """Set up a search, or resume an earlier one.

        Args:
            hypermodel: A `keras_tuner.HyperModel`; a function `build(hp)` that returns a compiled
                model; or "auto": families and first configurations that suit `data` and the
                installed pre-trained networks, see `choice`.
            data: The images, which `search` then need not be given.
            objective: "val_loss", or "val_" and a name in `kt_tuning.evaluation.METRICS`; with data
                of other kinds any metric that Keras logs. Several objectives search for the Pareto
                set; all but the first may be "parameters", "flops" (of one image) and "latency"
                (of one image, in ms).
            strategy: A name in `STRATEGIES`, a sampler of Optuna, or a `keras_tuner.Oracle` with
                its own objective, limits and seed. "auto" is TPE with "asha": near the defaults at
                first and, with a time limit, near the best trial at the end; without "asha" for
                fewer than nine trials.
            pruner: Which trials stop early: a name in `PRUNERS`, or a pruner of Optuna; None for
                that of the strategy. It is applied after each epoch, or with several folds or
                executions after each training.
            max_trials: Largest number of trials, earlier runs included; None for no limit.
            epochs: Epochs of a full training, unless `search` sets them.
            folds: Folds of a cross-validation on the training and validation splits together: each
                configuration is trained once a fold, its score is the mean, and its model averages
                the models of all folds. None trains on the one split of the data.
            executions_per_trial: Trainings of each configuration (and fold) from different initial
                weights. The objective is the mean of their scores. The model of a trial is that of
                the first training; choosing the best of them would overfit the validation images.
            max_parameters: Largest number of scalars in the weights of a model. A configuration
                over this or one of the next two limits is not trained, and samplers avoid it.
            max_flops: Largest number of floating-point operations for one image.
            max_latency: Largest latency for one image in milliseconds: the median of 100
                predictions before the training, on the machine of the search under its load.
            recipe: How the models are trained; `Recipe()` if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            warm_start: An earlier search over the same or an overlapping space that the sampler
                learns from: its run directory, storage or study.
            seed: Equal seeds give equal trials and scores on the same machine and versions, if no
                time limit interferes and trials use equal numbers of threads (see `workers` of
                `search`).
            directory: Parent of the run directory; both are made when a search begins. The run
                directory records everything that affects results (hypermodel, recipe, objective,
                data, seed): a tuner with other settings is refused, unless its space is only wider.
            project_name: Name of the run directory.
            overwrite: Whether the files of an earlier search in the run directory are deleted when
                the new one begins. Other files are kept.
            tracker: Where the search is also logged: a name in `kt_tuning.tracking.TRACKERS`
                ("tensorboard", "csv", "mlflow", "wandb"), a `Tracker`, or several. A tracker that
                is unreachable neither stops nor slows the search.
            storage: URL of a database that keeps the study instead of `study.db`. With PostgreSQL
                ("postgresql://user@host/name") or MySQL ("mysql://user@host/name") several machines
                share the search: the same script runs on each of them, with the same run directory
                on a shared file system. A URL without a password uses KT_TUNING_STORAGE_PASSWORD.
                The trials of a machine that died continue on another one after their last finished
                epoch. Without a shared run directory they begin anew, and `results`, `best_model`
                and `ensemble` know the trials of their own machine only.

        Raises:
            OptionError: if an argument is wrong.
            StorageError: if the run directory cannot be written or holds something else. Nothing
                is written before `search`.
        """
        check_settings(project_name, max_trials, epochs, folds, executions_per_trial, seed)
        limits = check_limits(parameters=max_parameters, flops=max_flops, latency=max_latency)
        self._trackers = find_trackers(tracker)
        self.recipe = recipe or Recipe()
        self.seed = seed
        self._epochs = epochs
        self._folds = folds
        self._options = TrialOptions(seed, folds or 1, executions_per_trial, limits)
        self._strategy = (
            strategy_name(strategy) if isinstance(strategy, str) else type(strategy).__name__
        )
        self._given = data
        self._data: ImageData | None = None
        self.run_directory = Path(directory) / project_name
        if isinstance(hypermodel, str):
            hypermodel = chosen(hypermodel, data, self.run_directory, overwrite=overwrite)
        self.choice = hypermodel.choice if isinstance(hypermodel, Chosen) else None
        if isinstance(hypermodel, Chosen):
            hypermodel = hypermodel.hypermodel
        described = describe_hypermodel(hypermodel)
        wrapped = RecipeHyperModel(hypermodel, self.recipe)
        trainings = (folds or 1) * executions_per_trial
        oracle = make_oracle(
            strategy,
            objective=objective,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            seed=seed,
            pruner=pruner,
            epochs=epochs if trainings == 1 else trainings,
            storage=storage,
            defaults_first=self.choice is None or not self.choice.several,
        )
        adapted = adapt(oracle)
        if overwrite:
            adapted.check_overwrite(project_name)
        self.objectives = objectives_of(oracle.objective)
        self._run = RunDirectory(
            self.run_directory, self.objectives[0], overwrite=overwrite and not is_worker()
        )
        self._best_models = BestModels(wrapped, self._run, folds)
        adapted.prepare(ignore_earlier=self._run.overwrite, warm_start=warm_start)
        with quiet():
            oracle.verbose = 0
            super().__init__(
                oracle=oracle,
                hypermodel=wrapped,
                directory=str(directory),
                project_name=project_name,
            )
        # A worker of a chief has a client in place of the oracle.
        self._oracle = adapted if self.oracle is oracle else adapt(self.oracle)
        definition = SearchDefinition(
            hypermodel=unchanged(described, describe_hypermodel(hypermodel)),
            recipe=describe_recipe(self.recipe),
            objectives=[[objective.name, objective.direction] for objective in self.objectives],
            seed=seed,
            folds=folds or 1,
            executions=executions_per_trial,
            limits=limits,
            oracle=adapted.kind,
            space=oracle.get_space().get_config()["space"],
            values=self._defaults,
            model=self._default_model,
        )
        self._identity = Identity(definition, wrapped, adapted, self._run)
        if not overwrite:
            self._identity.check()
            if not is_worker():
                adapted.restore(self.run_directory)

    def _populate_initial_space(self) -> None:
        """Find the search space with fewer builds than KerasTuner."""
        model, self._defaults = discover_space(self.hypermodel, self.oracle)
        self._default_model = describe_model(model)

    def reload(self) -> None:
        """Find the search space, where KerasTuner would use that of an earlier search.

        Earlier trials are read on first use.
        """
        self._populate_initial_space()

    @property
    def project_dir(self) -> str:
        """The run directory, which KerasTuner's own property would make."""
        return str(self.run_directory)

    def search(
        self,
        *args: Any,
        epochs: int | None = None,
        time_limit: str | float | None = None,
        trial_time_limit: str | float | None = None,
        max_stale_trials: int | None = None,
        workers: int | str | Ray = 1,
        verbose: bool | int = True,
        callbacks: list[keras.callbacks.Callback] | None = None,
        **fit_kwargs: Any,
    ) -> None:
        """Run trials until a limit is reached or every configuration has been tried.

        Call `search(data)` with an `ImageData`, `search()` if the tuner has one, or as in
        KerasTuner `search(x, y, validation_data=(x_val, y_val))` with the arguments of
        `keras.Model.fit`.

        Ctrl-C stops the search and keeps all results: the same call resumes it, and `ensemble`,
        `best_model` and `report` use the trials so far. Trials that failed in an earlier call are
        retried once a call before new ones; a trial that crashed its process twice is retried only
        once more.

        Args:
            *args: An `ImageData`, or the positional arguments of `fit`.
            epochs: Epochs of a full training; those of the tuner if None.
            time_limit: Wall-clock of all trials, earlier runs of this search included: "30m",
                "1h30m" or seconds. A trial that would not end in time is shortened.
            trial_time_limit: Wall-clock of one trial, in the same form.
            max_stale_trials: Number of finished trials without a better one that ends the search;
                None for no such limit.
            workers: Number of trials at the same time. 1 runs them in this process. More run in
                processes that share the processors and GPUs; "auto" is one process a GPU, or a
                processor, as far as memory allows. A `kt_tuning.Ray` runs as many trials as its
                cluster has room for; "ray" is `Ray()`, and "ray://host:port?cpus=2&gpus=0.25" is
                `Ray("ray://host:port", cpus=2, gpus=0.25)`. Scores depend slightly on the number
                of threads a trial computes with, as sums are added in another order: 1 uses all
                processors, several divide them; OMP_NUM_THREADS, TF_NUM_INTRAOP_THREADS and
                TF_NUM_INTEROP_THREADS set the number.
            verbose: Whether to show the live view.
            callbacks: Copied for each training. An interruption loses their state.
            **fit_kwargs: Further arguments of `fit`, without an `ImageData`.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if every trial fails.
            StorageError: if the run directory holds a search on other data, another process
                is using it, or the disk is full.
            KeyboardInterrupt: on Ctrl-C, after the workers have been stopped.
        """
        limits = Limits(
            self._epochs if epochs is None else epochs,
            seconds(time_limit),
            seconds(trial_time_limit),
            max_stale_trials,
        )
        chief, shared = is_chief(), is_worker() or self._oracle.shared
        if workers == "auto" and self.choice is not None and self.choice.is_short(limits.seconds):
            workers = 1
        found = find_workers(1 if chief else workers)
        fit_kwargs["callbacks"] = callbacks or []
        if not args and "x" not in fit_kwargs and self._given is not None:
            args = (self._given,)
        data = args[0] if args and isinstance(args[0], ImageData) else None
        parts = split_folds(data, self._folds, self.seed)
        tasks = make_tasks(
            self.hypermodel,
            parts,
            args,
            dict(fit_kwargs),
            folds=self._folds,
            objectives=[objective.name for objective in self.objectives],
            defaults=self.get_default_hyperparameters(),
        )
        self._identity.trained_on(data, named(args, fit_kwargs))
        jobs = trials_left(self.oracle, self._run)
        source = None if data is None else data.source
        check = partial(self._identity.check_run, data)
        with (
            without_repetitions(),
            full_disk_explained(self.run_directory),
            self._run.begin(check, source=source, lock=not shared),
            make_executor(found, self._run, jobs).started(jobs) as executor,
        ):
            self._oracle.open()
            if (known := self._oracle.known_trials()) is not None:
                self._run.check_unchanged(known)
            self._identity.note(data, parts)
            if self.choice is not None:
                self.choice.save(self.run_directory / CHOICE)
            if data is not None:
                self._data = data
            session = SearchSession(
                self,
                self._oracle,
                self._run,
                limits,
                self._options,
                strategy=self._strategy,
                trackers=self._trackers,
            )
            session.run(executor, tasks, verbose=bool(verbose))
        check_results(self._run)

    def save(self) -> None:
        """Write the state of the search atomically."""
        if not is_worker():
            self.oracle.save()
        write_json(self._get_tuner_fname(), self.get_state())
