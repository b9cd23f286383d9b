"""The tuner: KerasTuner's interface, our trials."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import optuna
import pandas as pd
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from rich.console import Console

from kt_tuning.data import ImageData
from kt_tuning.ensembling import PRICE, Ensemble, read_labels
from kt_tuning.errors import OptionError, SearchError, full_disk_explained
from kt_tuning.execution import Ray, Serial
from kt_tuning.export import export_obstacle
from kt_tuning.interrupts import interrupts_kept
from kt_tuning.recipe import Recipe
from kt_tuning.records import FAILED, SearchRecord, defaults_failure, write_json
from kt_tuning.search.auto import AUTO, CHOICE, Chosen, Plan, chosen
from kt_tuning.search.best_models import Winners, with_values
from kt_tuning.search.budget import Budget
from kt_tuning.search.chief import is_chief, is_worker, serve
from kt_tuning.search.data_tasks import image_tasks, keras_task
from kt_tuning.search.definition import (
    SearchDefinition,
    describe_hypermodel,
    describe_model,
    describe_recipe,
    unchanged,
)
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.failed_trials import retry_failed
from kt_tuning.search.families import epochs_by_family
from kt_tuning.search.identity import Identity, named
from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.objectives import objectives_of, pareto_records
from kt_tuning.search.options import (
    Objectives,
    check_count,
    check_limits,
    find_objectives,
    find_workers,
    make_executor,
)
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.plots import Plots, study_of
from kt_tuning.search.quiet import light_collections, quiet, without_repetitions
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.results import history_frame, results_frame
from kt_tuning.search.run_directory import RunDirectory, versions
from kt_tuning.search.samplers import strategy_name
from kt_tuning.search.shared_finalize import warn_of_absent
from kt_tuning.search.space_discovery import discover_space
from kt_tuning.search.specifying import TrialOptions
from kt_tuning.tracking import Tracker, Tracking, find_trackers
from kt_tuning.trials import Task, run_trial
from kt_tuning.units import count, seconds

logger = logging.getLogger("kt_tuning")

DEFAULT_EPOCHS = 30


class Tuner(keras_tuner.Tuner):
    """Searches a hypermodel's space and keeps what each trial found.

    Everything that users of `keras_tuner.Tuner` know goes on working. Running the same script
    again resumes: finished trials are kept, and one that was interrupted goes on after its last
    finished epoch.

    Attributes:
        run_directory: Where everything is written.
        recipe: How the models are trained.
        objectives: What is optimised, as KerasTuner's objectives; the first decides what is best.
        choice: What was chosen for the images, and why, if the hypermodel is "auto"; else None.
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
        epochs: int = DEFAULT_EPOCHS,
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
        """Prepare a search, or take up an earlier one.

        Args:
            hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` -> compiled model; or
                "auto": families and first configurations that suit `data` and the pre-trained
                networks that are at hand, see `choice`.
            data: The images, which `search` then need not be given.
            objective: What is optimised: "val_loss" or "val_" and a name in
                `kt_tuning.evaluation.METRICS`; with data of your own, whatever Keras logs.
                Several make a search for the Pareto set; after the first one they may also be
                "parameters", "flops" (of one image) and "latency" (of one image, in ms).
            strategy: A name in `STRATEGIES`, a sampler of Optuna, or a `keras_tuner.Oracle`,
                which then brings objective, limits and seed of its own. "auto" is TPE with
                "asha", near the defaults at first and, if there is a time limit, near the best
                trial at last; without "asha" where fewer than nine trials are asked for.
            pruner: A name in `PRUNERS`, or a pruner of Optuna: which trials are cut short. None
                for what goes with the strategy. With folds or executions it is asked after each
                of them, otherwise after each epoch.
            max_trials: Trials, at most, earlier runs of this search included; None for no limit.
            epochs: Epochs of a full training, unless `search` says otherwise.
            folds: Cross-validation on the training and validation splits together: each
                configuration is trained once a fold, its score is the mean, and all folds' models
                together are its model. None trains on the one split that the data have.
            executions_per_trial: Trainings of each configuration (on each fold), from different
                initial weights. The mean of their scores is what is optimised and reported. The
                model of a trial is that of its first training, whose own score is the first of
                `scores` in `result.json`: to choose among them by their scores would make one
                more choice on the validation images.
            max_parameters: Scalars in a model's weights, at most. A configuration over this limit
                or the next two is not trained, and the sampler learns to avoid it.
            max_flops: Floating-point operations for one image, at most.
            max_latency: Milliseconds for one image, at most: the median of 100 predictions before
                the training, on the machine of the search as loaded as it is.
            recipe: How the models are trained; `Recipe()` if None.
            hyperparameters: A space that is fixed or narrowed in advance.
            warm_start: An earlier search over the same or an overlapping space, which the sampler
                learns from: its run directory, storage or study.
            seed: Same seed, same trials and scores, on the same machine and versions, if no time
                limit interferes and each trial computes with as many threads: see `workers` of
                `search`.
            directory: Parent of the run directory; both are made when a search begins. What
                decides what a trial means (hypermodel, recipe, objective, data, seed) is kept
                there: a tuner that asks for something else is refused, unless the space is only
                wider.
            project_name: Name of the run directory.
            overwrite: Whether an earlier search in the run directory is deleted when the new one
                begins: its files only, never what else is there.
            tracker: Where the search is also logged: names in `kt_tuning.tracking.TRACKERS`
                ("tensorboard", "csv", "mlflow", "wandb"), or a `Tracker`; one or several. One that
                is down neither stops nor slows the search.
            storage: URL of a database that keeps the study instead of `study.db`. With one of
                PostgreSQL ("postgresql://user@host/name") or MySQL ("mysql://user@host/name")
                several machines share the search: the same script runs on each, with the same run
                directory on a file system that all of them have. A password that is not in the URL
                is that in KT_TUNING_STORAGE_PASSWORD, if there is one. A trial of a machine that
                died goes on in another one, after its last finished epoch; where the run directory
                is not shared it begins anew, and `results`, `best_model` and `ensemble` know only
                the trials of their own machine.

        Raises:
            OptionError: if an argument is wrong.
            StorageError: if the run directory cannot be written or holds something else. Nothing
                is written before `search`.
        """
        if not project_name:
            raise OptionError(
                "`project_name` is the name of the run directory in `directory`. Received: ''"
            )
        check_count("max_trials", max_trials, optional=True)
        limits = check_limits(parameters=max_parameters, flops=max_flops, latency=max_latency)
        check_count("folds", folds, least=2, optional=True)
        check_count("executions_per_trial", executions_per_trial)
        check_count("epochs", epochs)
        check_count("seed", seed, least=0)
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
        self._ensemble: Ensemble | None = None
        self._warm_start = warm_start
        described = describe_hypermodel(hypermodel)
        wrapped = RecipeHyperModel(hypermodel, self.recipe)
        oracle = strategy
        if not isinstance(oracle, keras_tuner.Oracle):
            found = find_objectives(objective)
            trainings = (folds or 1) * executions_per_trial
            oracle = OptunaOracle(
                oracle,
                objective=found if len(found) > 1 else found[0],
                max_trials=max_trials,
                hyperparameters=hyperparameters,
                seed=seed,
                pruner=pruner,
                epochs=epochs if trainings == 1 else trainings,
                storage=storage,
                defaults_first=self.choice is None or not self.choice.several,
            )
        if overwrite and isinstance(oracle, OptunaOracle) and oracle.shared:
            raise OptionError(
                "`overwrite` would delete what other processes of a shared search have found, and "
                "not their study. Choose another project_name, or delete that study by `optuna "
                f"delete-study --study-name {project_name}` and the run directory yourself."
            )
        self.objectives = objectives_of(oracle.objective)
        self._run = RunDirectory(
            self.run_directory, self.objectives[0], overwrite=overwrite and not is_worker()
        )
        self._winners = Winners(wrapped, self._run, folds)
        if isinstance(oracle, OptunaOracle):
            oracle.ignores_earlier = self._run.overwrite
            if warm_start is not None:
                oracle.check_source(warm_start)
        with quiet():
            oracle.verbose = 0
            super().__init__(
                oracle=oracle,
                hypermodel=wrapped,
                directory=str(directory),
                project_name=project_name,
            )
        definition = SearchDefinition(
            hypermodel=unchanged(described, describe_hypermodel(hypermodel)),
            recipe=describe_recipe(self.recipe),
            objectives=[[objective.name, objective.direction] for objective in self.objectives],
            seed=seed,
            folds=folds or 1,
            executions=executions_per_trial,
            limits=limits,
            oracle="optuna" if isinstance(oracle, OptunaOracle) else type(oracle).__name__,
            space=oracle.get_space().get_config()["space"],
            values=self._defaults,
            model=self._default_model,
        )
        self._identity = Identity(definition, wrapped, oracle, self._run)
        if warm_start is not None:
            self._optuna("warm_start")
        if not overwrite:
            self._identity.check()
            self._restore_stock(oracle)

    def __repr__(self) -> str:
        trials, limit = self._run.trials(), self.oracle.max_trials
        done = count(len(trials), "trial") if limit is None else f"{len(trials)} of {limit} trials"
        name, best = self.objectives[0].name, self._run.best_trials(1)
        value = f", best {name} {best[0].metrics[name]:.4f}" if best else ""
        return (
            f"Tuner({self.hypermodel.wrapped!r}, objective={name!r}, "
            f"strategy={self._strategy!r}: {done}{value}, in {str(self.run_directory)!r})"
        )

    def _populate_initial_space(self) -> None:
        """Find the search space, in fewer builds than KerasTuner.

        Warn of what will keep the default configuration's model from being exported.
        """
        model, self._defaults = discover_space(self.hypermodel, self.oracle)
        self._default_model = describe_model(model)
        if isinstance(model, keras.Model) and (obstacle := export_obstacle(model)) is not None:
            logger.warning("%s", obstacle)

    def reload(self) -> None:
        """Find the search space, where KerasTuner would take that of an earlier search.

        Earlier trials are read when they are first asked for.
        """
        self._populate_initial_space()

    def _restore_stock(self, oracle: keras_tuner.Oracle) -> None:
        """Have an oracle of KerasTuner's take up its earlier trials, in the space as it is now."""
        if isinstance(oracle, OptunaOracle) or is_worker():
            return
        if (self.run_directory / "oracle.json").exists():
            space = oracle.get_space()
            oracle.reload()
            space.merge(oracle.hyperparameters, overwrite=False)
            oracle.hyperparameters = space

    @property
    def project_dir(self) -> str:
        """The run directory; KerasTuner's own property makes it."""
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
        """Run trials until there are `max_trials`, time is up or the space is exhausted.

        `search(data)` with an `ImageData`, `search()` if the tuner was given one, or as in
        KerasTuner `search(x, y, validation_data=(x_val, y_val))` and everything else that
        `keras.Model.fit` takes.

        Ctrl-C stops the search and keeps what is done: the same call goes on from there, and
        `ensemble`, `best_model` and `report` use the trials that are there. Trials that failed
        in an earlier call are tried again, once a call, before new ones; one that killed its
        process twice is tried once more only.

        Args:
            *args: An `ImageData`, or the positional arguments of `fit`.
            epochs: Epochs of a full training; those given to `Tuner` if None.
            time_limit: Wall-clock of all trials, earlier runs of this search included: "30m",
                "1h30m" or seconds. A trial that would not end in time is shortened.
            trial_time_limit: Wall-clock of one trial, likewise.
            max_stale_trials: The search ends when so many finished trials in a row were no better
                than the best one before them; None for no such limit.
            workers: Trials at the same time. 1 runs them in this process; more run each in a
                process of its own, with the processors and GPUs divided among them; "auto" is a
                process a GPU, or a processor, as far as memory goes. The threads that a trial
                computes with decide in which order it adds up numbers: 1, which uses all
                processors, ends with slightly other scores than more do, unless the environment
                gives it as few threads as each of them has (`OMP_NUM_THREADS`,
                `TF_NUM_INTRAOP_THREADS`, `TF_NUM_INTEROP_THREADS`). A `kt_tuning.Ray` runs them
                on a cluster, as many as it has room for; "ray" is `Ray()`, and "ray://host:port"
                `Ray("ray://host:port")`, with "?cpus=2&gpus=0.25" behind it if need be.
            verbose: Whether to show the live view.
            callbacks: Copied for each training. What they remember is lost by an interruption.
            **fit_kwargs: Further arguments of `fit`, without an `ImageData`.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if every trial fails.
            StorageError: if the run directory holds a search on other data, another process
                is using it, or the disk is full.
            KeyboardInterrupt: on Ctrl-C, after the workers have been stopped.
        """
        epochs = self._epochs if epochs is None else epochs
        check_count("epochs", epochs)
        check_count("max_stale_trials", max_stale_trials, optional=True)
        limit, trial_limit = seconds(time_limit), seconds(trial_time_limit)
        chief, shared = is_chief(), self._shared()
        if workers == "auto" and self.choice is not None and self.choice.is_short(limit):
            workers = 1
        found = find_workers(1 if chief else workers)
        fit_kwargs["callbacks"] = callbacks or []
        if not args and "x" not in fit_kwargs and self._given is not None:
            args = (self._given,)
        data = args[0] if args and isinstance(args[0], ImageData) else None
        parts = self._parts(data)
        tasks = self._tasks(parts, args, fit_kwargs)
        self._identity.trained_on(data, named(args, fit_kwargs))
        jobs = self._trials_left()
        source = None if data is None else data.source
        with (
            without_repetitions(),
            full_disk_explained(self.run_directory),
            self._run.begin(functools.partial(self._check, data), source=source, lock=not shared),
            make_executor(found, self._run, jobs).started(jobs) as executor,
        ):
            if isinstance(self.oracle, OptunaOracle):
                self._open_study()
                if not shared:
                    self._run.check_unchanged(self.oracle.trials)
            self._claim(data, parts)
            plan = self._begin_with(None if limit is None else limit / executor.workers)
            self._write_search(epochs, limit)
            retried = [] if is_worker() else retry_failed(self.oracle, self._run)
            if retried:
                many = len(retried) > 1
                logger.warning(
                    "%s failed in an earlier run; %s tried again.",
                    count(len(retried), "trial"),
                    "they are" if many else "it is",
                )
            spent = self._run.seconds_spent()
            display = SearchDisplay(
                self.objectives[0].name,
                max_trials=self.oracle.max_trials,
                time_limit=limit,
                done=len(self._run.trials()) - len(retried),
                used=spent,
                console=Console(stderr=True) if verbose else None,
            )
            deadline = None if limit is None else time.monotonic() + limit - spent
            budget = Budget(
                epochs,
                deadline,
                time_limit=limit,
                workers=executor.workers,
                trial_seconds=trial_limit,
                max_stale_trials=max_stale_trials,
                family_epochs=epochs_by_family(self.hypermodel.wrapped, epochs)
                | plan.epochs(epochs),
            )
            tracking = Tracking(
                # For its workers the chief does it.
                [] if is_worker() else self._trackers,
                self.run_directory,
                self._run.read_search(),
                () if shared else self._run.trials(),
            )
            loop = SearchLoop(
                self,
                self._run,
                display,
                budget,
                self._options,
                tracking,
                plan=plan,
                in_process=isinstance(executor, Serial),
            )
            work = functools.partial(run_trial, tasks=tasks, objectives=self.objectives)
            self.on_search_begin()
            try:
                with display, quiet(), light_collections(), interrupts_kept():
                    if chief:
                        loop.reason = serve(self.oracle, loop.watch)
                    else:
                        executor.run(work, loop)
                    loop.close()
                    warn_of_absent(self.oracle, self.run_directory)
                tracking.finished = True
                if loop.reason is not None:
                    logger.info("The search ended: %s.", loop.reason)
            except KeyboardInterrupt:
                logger.warning(
                    "Interrupted. %s kept in %s; the same search goes on from there.",
                    _trials_are(len(self._run.best_trials())),
                    self.run_directory,
                )
                raise
            finally:
                loop.leave()
                tracking.close(next(iter(self._run.best_trials(1)), None), self.best_model)
            self.on_search_end()
        self._raise_if_all_failed()
        if warning := defaults_failure(self._run.trials()):
            logger.warning(warning)

    def _shared(self) -> bool:
        """Whether other processes may write to the run directory at the same time."""
        return is_worker() or (isinstance(self.oracle, OptunaOracle) and self.oracle.shared)

    def _trials_left(self) -> int | None:
        limit = self.oracle.max_trials
        # Those that failed may be tried again.
        done = [record for record in self._run.trials() if record.status != FAILED]
        return None if limit is None else max(0, limit - len(done))

    def _parts(self, data: ImageData | None) -> list[ImageData]:
        """The images as each fold splits them; none if the data are no `ImageData`."""
        if data is None:
            return []
        return [data] if self._folds is None else data.folds(self._folds, seed=self.seed)

    def _tasks(
        self, parts: list[ImageData], args: tuple[Any, ...], fit_kwargs: dict[str, Any]
    ) -> list[Task]:
        """What to train on, a task a fold."""
        if not parts:
            return [keras_task(self.hypermodel, args, dict(fit_kwargs), folds=self._folds)]
        return image_tasks(
            self.hypermodel,
            self.recipe,
            parts,
            args[1:],
            dict(fit_kwargs),
            objectives=[objective.name for objective in self.objectives],
            defaults=self.get_default_hyperparameters(),
        )

    def _check(self, data: ImageData | None) -> None:
        """Refuse to search in a directory that holds another search. Nothing is written."""
        self._identity.check()
        self._identity.check_study()
        if data is not None:
            self._run.check_data(data)

    def _claim(self, data: ImageData | None, parts: list[ImageData]) -> None:
        """Note what is searched."""
        self._identity.note()
        if self.choice is not None:
            self.choice.save(self.run_directory / CHOICE)
        if data is not None:
            self._run.claim(data, [part.indices["validation"] for part in parts])
            self._data = data

    def _begin_with(self, limit: float | None) -> Plan:
        """Ask for the first configurations of a search whose families were chosen for the images.

        Args:
            limit: Seconds for each worker if they shared the machine in turn, or None.
        """
        if self.choice is None or not isinstance(self.oracle, OptunaOracle):
            return Plan()
        plan = Plan.of(self.choice, self.oracle.get_space(), limit)
        for values in plan.first:
            self.enqueue(values)
        return plan

    def _open_study(self) -> OptunaOracle:
        """Open the study, which learns from the search that it was told to begin with.

        Raises:
            SearchError: if an earlier search is to be deleted before.
        """
        oracle = self._optuna("study")
        if self._run.overwrite:
            raise SearchError(
                f"The earlier search in {self.run_directory} is deleted when the new one begins: "
                "call `search` first."
            )
        oracle.ignores_earlier = False
        oracle.reload()
        if self._warm_start is not None:
            oracle.warm_start(self._warm_start)
            self._warm_start = None
        return oracle

    def _write_search(self, epochs: int, limit: float | None) -> None:
        self._run.write_search(
            SearchRecord(
                objective=self.objectives[0].name,
                direction=self.objectives[0].direction,
                strategy=self._strategy,
                seed=self.seed,
                epochs=epochs,
                max_trials=self.oracle.max_trials,
                time_limit=limit,
                hypermodel=self.hypermodel.title,
                versions=versions(),
                folds=self._folds or 1,
                executions=self._options.executions,
            )
        )

    def _raise_if_all_failed(self) -> None:
        trials = self._run.trials()
        if trials and not self._run.best_trials(1):
            raise SearchError(
                f"All {len(trials)} trials failed; the first one: {trials[0].message}"
            )

    def enqueue(self, values: Mapping[str, Any]) -> None:
        """Ask for a configuration to be tried next, before the strategy has a say.

        Args:
            values: By name. What is left out is chosen by the strategy.

        Raises:
            OptionError: if a name is unknown, not active or its value out of range.
            SearchError: if the oracle is one of KerasTuner's.
        """
        self._optuna("enqueue").enqueue(values)

    def _optuna(self, wanted: str) -> OptunaOracle:
        if not isinstance(self.oracle, OptunaOracle):
            raise SearchError(
                f"A {type(self.oracle).__name__} keeps no Optuna study, which `{wanted}` needs. "
                "Use a strategy by name."
            )
        return self.oracle

    @property
    def plot(self) -> Plots:
        """Figures of the search: `tuner.plot.history()` and others, see `Plots`."""
        if isinstance(self.oracle, OptunaOracle):
            trainings = (self._folds or 1) * self._options.executions
            return Plots(self.study, step="Epoch" if trainings == 1 else "Training")
        space = self.oracle.get_space()
        return Plots(study_of(self._run.trials(), self.history(), self.objectives, space))

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for `optuna.visualization` and optuna-dashboard.

        Raises:
            SearchError: if the oracle is one of KerasTuner's.
        """
        return self._open_study().study

    def results(self) -> pd.DataFrame:
        """A row a trial, failed ones included; see `results_frame`.

        Metrics that begin with "val_" are those of the models that `get_best_models` returns; with
        folds or executions they are means.
        """
        return results_frame(self._run.trials())

    def history(self) -> pd.DataFrame:
        """A row an epoch of every trial, in the precision of its training; see `history_frame`."""
        return history_frame(self.run_directory, self._run.trials())

    def pareto(self) -> pd.DataFrame:
        """The rows of `results` that no other one beats in every objective, best first.

        With one objective that is the best trial.
        """
        return results_frame(pareto_records(self._run.best_trials(), self.objectives))

    def get_default_hyperparameters(self) -> keras_tuner.HyperParameters:
        """The default configuration: trial 0 of most strategies."""
        space = self.oracle.get_space()
        space.values = SearchSpace(space.space).defaults()
        return space

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[keras_tuner.HyperParameters]:
        """The configurations of the best completed trials, best first."""
        space = self.oracle.get_space()
        return [with_values(space, record) for record in self._run.best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """The models of the best completed trials, at their best epoch, best first."""
        space = self.oracle.get_space()
        return [self._winners.load(record, space) for record in self._run.best_trials(num_models)]

    def best_model(self) -> keras.Model:
        """The best trial's model at its best epoch; with folds the mean of all folds' models.

        Raises:
            SearchError: if no trial has completed.
        """
        return self._winners.load(self._winners.best(1)[0], self.oracle.get_space())

    def load_model(self, trial: Any) -> keras.Model:
        """The model of a KerasTuner trial, at its best epoch."""
        return self._winners.model(trial.hyperparameters, self._run.trial(trial.trial_id))

    def ensemble(
        self,
        size: int = 5,
        solver: str = "auto",
        *,
        metric: str = "log_loss",
        members: str = "best",
        price: float = PRICE,
    ) -> Ensemble:
        """Combine the best trials by weights fitted on the images that they were validated on.

        What it needs is in the run directory: a tuner that was made again need not search again.
        Those of a search that was interrupted are combined, too: finished trials and paused ones.
        What the record calls cross-fitted is measured on images that neither weights nor members
        were chosen on. That each member's epoch was chosen on them is not corrected.

        Args:
            size: Candidates: so many completed trials of distinct configurations. Those whose
                weight comes out as zero are left out.
            solver: "auto", or a name in `SOLVERS`.
            metric: What the weights should be good at, a name in `METRICS`.
            members: Which candidates: "best" scores, or "diverse": each next one is that which
                helps the mean most.
            price: The share of the loss (of what a score lacks of 1) that is worth a doubling of
                the parameters, in [0, 1). With 0 every gain is taken, whatever it costs to serve.

        Returns:
            The ensemble; also written as `ensemble.json`. A single member if nothing beats it.

        Raises:
            OptionError: if an argument is wrong.
            SearchError: if no trial has completed, or trials kept no validation predictions.
        """
        card = self._run.data_card()
        if card is None:
            raise SearchError("An ensemble needs a search on an ImageData: call `search(data)`.")
        labels, _ = read_labels(self.run_directory)
        with quiet():
            self._ensemble = self._winners.ensemble(
                card,
                labels,
                self.oracle.get_space(),
                objective=self.objectives[0].name,
                size=size,
                solver=solver,
                metric=metric,
                members=members,
                price=price,
                seed=self.seed,
            )
        return self._ensemble

    def _current_ensemble(self, data: ImageData) -> Ensemble:
        """The ensemble that `ensemble` made last, here or before a restart; or a new one."""
        if self._ensemble is None:
            with quiet():
                self._ensemble = self._winners.recorded(data.card, self.oracle.get_space())
        return self.ensemble() if self._ensemble is None else self._ensemble

    def save(self) -> None:
        """Write the state of the search, atomically."""
        if not is_worker():
            self.oracle.save()
        write_json(self._get_tuner_fname(), self.get_state())


def _trials_are(number: int) -> str:
    """E.g. "1 trial with a score is"."""
    return f"{count(number, 'trial')} with a score {'is' if number == 1 else 'are'}"
