"""The tuner: KerasTuner's interface for searches of this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from kt_tuning.core.errors import OptionError
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.core.units import check_count, seconds
from kt_tuning.data import ImageData
from kt_tuning.execution import Ray
from kt_tuning.recipe import Recipe
from kt_tuning.search.auto import AUTO, Chosen, chosen
from kt_tuning.search.budget import Budget, default_epochs
from kt_tuning.search.descriptions import describe_hypermodel
from kt_tuning.search.distributed import is_chief, is_worker
from kt_tuning.search.objectives import Objectives, objectives_of
from kt_tuning.search.options import (
    check_arguments,
    check_compiling,
    check_limits,
    check_place,
    check_warm_start,
    find_workers,
    split_folds,
)
from kt_tuning.search.overridable import NoHyperModel
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.samplers import strategy_name
from kt_tuning.search.session import SessionTuner
from kt_tuning.search.stock_oracle import adapt, is_oracle, make_oracle
from kt_tuning.tracking import Tracker, find_trackers
from kt_tuning.trials import check_callbacks


class Tuner(SessionTuner):
    """Searches the space of a hypermodel and keeps the result of every trial.

    It is a `keras_tuner.Tuner` with the same methods. Running the same script again resumes the
    search: finished trials are kept and interrupted ones continue after their last finished epoch.

    Attributes:
        run_directory: Directory of all files of the search.
        recipe: How the models are trained.
        objectives: KerasTuner's objectives; trials are ranked by the first one.
        choice: The families that "auto" has chosen for the images, and the reason; else None.
    """

    def __init__(
        self,
        oracle: Any = None,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        *,
        data: ImageData | None = None,
        objective: Objectives = "val_accuracy",
        strategy: str | BaseSampler | keras_tuner.Oracle = "auto",
        pruner: str | BasePruner | None = None,
        max_trials: int | None = 20,
        epochs: int | None = None,
        folds: int | None = None,
        max_parameters: int | None = None,
        max_flops: int | None = None,
        max_latency: float | None = None,
        recipe: Recipe | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        warm_start: str | Path | optuna.Study | None = None,
        seed: int = 0,
        storage: str | None = None,
        tracker: str | Tracker | Sequence[str | Tracker] | None = None,
        **unknown: Any,
    ) -> None:
        """Set up a search, or resume an earlier one.

        The arguments up to `executions_per_trial` are those of `keras_tuner.Tuner`, in its order.
        With an `oracle` everything follows KerasTuner: `search` passes its arguments to
        `HyperModel.fit` unchanged, and methods that a subclass overrides are called.

        Args:
            oracle: A `keras_tuner.Oracle` with its own objective, limits and seed. Any other value
                of the first argument is the hypermodel: `Tuner(build, objective=...)`.
            hypermodel: A `keras_tuner.HyperModel`; a function `build(hp)` that returns a compiled
                model; or "auto": families and first configurations that suit `data` and the
                available pre-trained networks, see `choice`. Without an oracle "auto" is the
                default; a subclass that overrides `run_trial` needs no hypermodel.
            max_model_size: KerasTuner's name of `max_parameters`.
            optimizer: Every model is compiled again with this optimizer; None keeps its own.
            loss: Every model is compiled again with this loss; None keeps its own.
            metrics: Every model is compiled again with these metrics; None keeps its own.
            distribution_strategy: A `tf.distribute.Strategy` in whose scope models are built.
            logger: Ignored, as in KerasTuner.
            tuner_id: Name of this process if it requests trials from a chief, as in KerasTuner.
            data: The images; `search` then needs no data.
            objective: "val_loss", or `val_` and a name in `kt_tuning.evaluation.METRICS`; with data
                of other kinds any metric that Keras logs. Several objectives search for the Pareto
                set; all but the first may be "parameters", "flops" (of one image) and "latency"
                (of one image, in ms).
            strategy: A name in `STRATEGIES` or a sampler of Optuna. "auto" is TPE with "asha":
                near the defaults at first and, with a time limit, near the best trial at the end;
                without "asha" if `max_trials` is less than nine.
            pruner: Decides which trials stop early: a name in `PRUNERS`, or a pruner of Optuna;
                None for that of the strategy. It is applied after each epoch, or with several
                folds or executions after each training.
            max_trials: Largest number of trials, including earlier runs; None for no limit.
            epochs: Epochs of a full training, unless `search` sets them. If None, 60 for up to
                4,000 training images and 30 from 8,000 on; 30 for data of other kinds. Of several
                families that "auto" chooses, fine-tuning trains for a third of them, at most 10.
                With an `oracle` and no `ImageData`, None leaves them to `fit`.
            folds: Folds of a cross-validation on the training and validation splits together: each
                configuration is trained once per fold, its score is the mean, and its model
                averages the models of all folds. None trains on the given split only.
            executions_per_trial: Trainings of each configuration (and fold) from different initial
                weights. The objective is the mean of their scores. The model of a trial is that of
                the first training; choosing the best of them would overfit the validation images.
            max_parameters: Largest number of scalars in the weights of a model. Configurations that
                exceed this or one of the next two limits are not trained; samplers avoid them.
            max_flops: Largest number of floating-point operations for one image.
            max_latency: Largest latency for one image in milliseconds: the median of 100
                predictions before the training, on the machine of the search under its load.
            recipe: How the models are trained; `Recipe.for_images(data)` if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            warm_start: An earlier search over the same or an overlapping space that the sampler
                learns from: its run directory, storage or study.
            seed: The same seed gives the same trials and scores with the same machine and versions,
                if no time limit ends a trial and trials use the same number of threads (see
                `workers` of `search`).
            directory: Parent of the run directory, "runs" if None (with an `oracle` ".", as in
                KerasTuner); both are created when a search begins. The run directory records
                everything that affects results (hypermodel, recipe, objective, data, seed):
                a tuner with other settings is refused, unless its space is only wider.
            project_name: Name of the run directory, "search" if None (with an `oracle`
                "untitled_project").
            overwrite: Whether the files of an earlier search in the run directory are deleted when
                the new one begins, and its study in a SQLite `storage`. Other files are kept.
            tracker: Experiment trackers: a name in `kt_tuning.tracking.TRACKERS` ("tensorboard",
                "csv", "mlflow", "wandb"), a `Tracker`, or a list of them. A tracker that cannot be
                reached neither stops nor slows the search.
            storage: URL of a database that keeps the study instead of `study.db`. With PostgreSQL
                ("postgresql://user@host/name") or MySQL ("mysql://user@host/name") several machines
                share the search: the same script runs on each of them, with the same run directory
                on a shared file system. A URL without a password uses KT_TUNING_STORAGE_PASSWORD.
                The trials of a machine that died continue on another one after their last finished
                epoch. Without a shared run directory they start again, and `results`, `best_model`
                and `ensemble` use only the trials of their own machine.
            **unknown: Refused.

        Raises:
            OptionError: if an argument is wrong.
            StorageError: if the run directory cannot be written or holds something else. Nothing
                is written before `search`.
        """
        check_arguments(oracle, hypermodel, hyperparameters, recipe, logger, unknown)
        if oracle is not None and not is_oracle(oracle):
            oracle, hypermodel = None, oracle
        self._follows_oracle = oracle is not None
        directory = directory or ("runs" if oracle is None else ".")
        if project_name is None:
            project_name = "search" if oracle is None else "untitled_project"
        check_place(directory, project_name)
        check_compiling(
            optimizer=optimizer, loss=loss, metrics=metrics, strategy=distribution_strategy
        )
        max_trials = check_count("max_trials", max_trials, optional=True)
        epochs = check_count("epochs", epochs, optional=True)
        folds = check_count("folds", folds, least=2, optional=True)
        executions_per_trial = check_count("executions_per_trial", executions_per_trial)
        seed = check_count("seed", seed, least=0)
        self._limits = check_limits(
            parameters=max_model_size if max_parameters is None else max_parameters,
            flops=max_flops,
            latency=max_latency,
        )
        self._trackers = find_trackers(tracker)
        self.recipe = recipe or Recipe.for_images(data)
        self.seed = seed
        self._epochs, self._folds = epochs, folds
        self._trainings = (folds or 1) * executions_per_trial
        strategy = strategy if oracle is None else oracle
        self._strategy = (
            strategy_name(strategy) if isinstance(strategy, str) else type(strategy).__name__
        )
        self._given = data
        self.run_directory = Path(directory) / project_name
        check_warm_start(warm_start, self.run_directory)
        if hypermodel is None:
            hypermodel = NoHyperModel() if self._overrides("run_trial") else AUTO
            if hypermodel == AUTO and oracle is not None:
                raise OptionError(
                    "Received `hypermodel=None`. It is needed unless a subclass overrides "
                    "`Tuner.run_trial()`."
                )
        if isinstance(hypermodel, str) and (hypermodel == AUTO or oracle is None):
            hypermodel = chosen(hypermodel, data, self.run_directory, overwrite=overwrite)
        self.choice = None
        if isinstance(hypermodel, Chosen):
            self.choice, hypermodel = hypermodel.choice, hypermodel.hypermodel
        described = describe_hypermodel(hypermodel)
        overrides = {"optimizer": optimizer, "loss": loss, "metrics": metrics}
        wrapped = self._searched = RecipeHyperModel(
            hypermodel, self.recipe, strategy=distribution_strategy, **overrides
        )
        oracle = make_oracle(
            strategy,
            objective=objective,
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            seed=seed,
            pruner=pruner,
            epochs=self._trainings if self._trainings > 1 else epochs or default_epochs(data),
            storage=storage,
            # Otherwise trial 0 is a starting point of the choice.
            defaults_first=self.choice is None,
        )
        adapted = adapt(oracle)
        # KerasTuner's oracles rank trials by the sum of several objectives.
        summed = self._follows_oracle and not adapted.keeps_study
        self.objectives = [oracle.objective] if summed else objectives_of(oracle.objective)
        deletes = overwrite and not is_worker()
        adapted.prepare(project_name, overwrite=deletes, warm_start=warm_start)
        self._run = RunDirectory(self.run_directory, self.objectives[0], overwrite=deletes)
        self._stdout = sys.stdout
        with quiet_keras_tuner():
            oracle.verbose = 0
            super().__init__(
                oracle=oracle,
                hypermodel=wrapped,
                max_model_size=max_model_size,
                distribution_strategy=distribution_strategy,
                directory=directory,
                project_name=project_name,
                tuner_id=tuner_id,
                executions_per_trial=executions_per_trial,
                **overrides,
            )
        self._stdout = None
        if self._follows_oracle:
            self.hypermodel = None if isinstance(hypermodel, NoHyperModel) else wrapped.wrapped
        # A worker of a chief has a client in place of the oracle.
        self._oracle = adapted if self.oracle is oracle else adapt(self.oracle)
        self._identity = self._define(hypermodel, described, oracle)
        if not overwrite:
            self._identity.check()
            if not is_worker():
                adapted.restore(self._run)

    def search(
        self,
        *args: Any,
        epochs: int | None = None,
        time_limit: str | float | None = None,
        trial_time_limit: str | float | None = None,
        max_stale_trials: int | None = None,
        workers: int | str | Ray = 1,
        verbose: bool | int | str = "auto",
        callbacks: list[keras.callbacks.Callback] | None = None,
        **fit_kwargs: Any,
    ) -> None:
        """Run trials until a limit is reached or every configuration has been tried.

        Call `search(data)` with an `ImageData`, `search()` if the tuner has one, or as in
        KerasTuner `search(x, y, validation_data=(x_val, y_val))` with the arguments of
        `keras.Model.fit`.

        Ctrl-C stops the search and keeps all results: the same call resumes it, and `ensemble`,
        `best_model` and `report` use the trials so far. Each call first retries once the trials
        that failed in an earlier call. A trial fails after its process has died three times without
        a finished epoch in between; it is then retried only once more.

        Args:
            *args: An `ImageData`, or the positional arguments of `fit`.
            epochs: Epochs of a full training; those of the tuner if None.
            time_limit: Wall-clock time of all trials, including earlier runs of this search: "30m",
                "1h30m" or seconds. A trial that would not end in time is shortened.
            trial_time_limit: Wall-clock time of one trial, in the same form.
            max_stale_trials: Number of finished trials in a row without a better one after which
                the search ends; None for no such limit.
            workers: Number of trials at the same time. 1 runs them in this process. More run in
                processes that share the processors and GPUs; "auto" is one per GPU, or one per
                processor as far as memory allows. A `kt_tuning.Ray` runs as many trials as its
                cluster has room for; "ray" is `Ray()`, and "ray://host:port?cpus=2&gpus=0.25" is
                `Ray("ray://host:port", cpus=2, gpus=0.25)`. Scores depend slightly on the number of
                threads of a trial, which changes the order of additions: with 1 a trial uses all
                processors, several workers divide them; OMP_NUM_THREADS, TF_NUM_INTRAOP_THREADS
                and TF_NUM_INTEROP_THREADS set the number.
            verbose: "auto" or True shows the live view; 0 or False nothing; 1 and 2 show what
                `keras.Model.fit` prints instead, if the data are no `ImageData`.
            callbacks: Copied for each training. Their state is lost by an interruption.
                `TensorBoard` writes to a separate directory for each trial.
            **fit_kwargs: Further arguments of `fit`; not with an `ImageData`.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if every trial fails.
            StorageError: if the run directory holds a search on other data, another process
                is using it, or the disk is full.
            KeyboardInterrupt: on Ctrl-C, after the workers have been stopped.
        """
        epochs = check_count("epochs", self._epochs if epochs is None else epochs, optional=True)
        max_stale_trials = check_count("max_stale_trials", max_stale_trials, optional=True)
        check_callbacks(callbacks or [])
        limit = seconds(time_limit)
        if workers == "auto" and self.choice is not None and self.choice.is_short(limit):
            workers = 1
        found = find_workers(1 if is_chief() else workers)
        if callbacks is not None:
            fit_kwargs["callbacks"] = callbacks
        if not args and "x" not in fit_kwargs and self._given is not None:
            args = (self._given,)
        data = args[0] if args and isinstance(args[0], ImageData) else None
        parts = split_folds(data, self._folds, self.seed)
        fit_prints = data is None and isinstance(verbose, int) and not isinstance(verbose, bool)
        if fit_prints:
            fit_kwargs["verbose"] = verbose
        planned, fixed = self._planned_epochs(epochs, data)
        budget = Budget(
            planned,
            time_limit=limit,
            trial_seconds=seconds(trial_time_limit, "trial_time_limit"),
            max_stale_trials=max_stale_trials,
        )
        tasks = []
        if not self._overrides("run_trial"):
            tasks = self._tasks(parts, args, fit_kwargs, fixed_epochs=fixed)
        passed = fit_kwargs if epochs is None else {"epochs": epochs, **fit_kwargs}
        work = self._work(found, tasks, args, passed)
        self._identity.trained_on(data, args, fit_kwargs)
        shown = bool(verbose) and not fit_prints
        self._run_session(found, work, budget, data=data, parts=parts, verbose=shown)
