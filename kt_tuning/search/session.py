"""One call of `Tuner.search` after its arguments were checked."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TextIO

import keras
import optuna
from rich.console import Console

from kt_tuning.core.errors import OptionError, SearchError, disk_errors_explained
from kt_tuning.core.process import interrupts_kept
from kt_tuning.core.quiet import light_collections, quiet_keras_tuner, without_repetitions
from kt_tuning.core.records import FAILED, SearchRecord, first_trial_failure
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.devices.speed import network_slowness
from kt_tuning.execution import Executor, Ray, Serial, Work
from kt_tuning.export import export_obstacle
from kt_tuning.recipe import Recipe
from kt_tuning.run.layout import AUTO_CHOICE, SEARCH
from kt_tuning.search.auto import AutoChoice, Plan
from kt_tuning.search.budget import Budget, epochs_by_family
from kt_tuning.search.definition import SearchDefinition
from kt_tuning.search.descriptions import (
    describe_code,
    describe_hypermodel,
    describe_model,
    describe_recipe,
    unchanged,
    versions,
)
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.distributed import is_chief, is_worker, serve, warn_of_absent
from kt_tuning.search.identity import Identity
from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.options import make_executor
from kt_tuning.search.overridable import OverridableTuner
from kt_tuning.search.recipe_hypermodel import discover_space
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import SearchOracle, adapt
from kt_tuning.tracking import Tracker, Tracking
from kt_tuning.trials.spec import MAX_CRASHES, CrashLog

logger = logging.getLogger("kt_tuning")


MIRRORED = (
    "Mirror images of these classes seem to be of no class or of another one, but the default "
    "policy %r mirrors images. Pass `data=` to the tuner, which then chooses a policy, or "
    "`recipe=Recipe(augment='text')`."
)
"""Warning of a default recipe that does not suit the images."""


class SessionTuner(OverridableTuner):
    """A tuner that runs the trials of one call of `search` until a limit is reached.

    Attributes:
        export_obstacle: Why Keras could not load a model of the search from a file, or None if
            nothing is known before a training; logged when a search on images begins.
    """

    choice: AutoChoice | None
    export_obstacle: str | None = None
    recipe: Recipe
    _data: ImageData | None = None
    _identity: Identity
    _oracle: SearchOracle
    _stdout: TextIO | None = None
    _trackers: Sequence[Tracker]

    def enqueue(self, values: Mapping[str, Any]) -> None:
        """Try a configuration next, before the strategy proposes others.

        Args:
            values: Values by hyperparameter name; the strategy chooses missing ones.

        Raises:
            OptionError: if a name is unknown or not active, its value is out of range, or `values`
                is not a dict.
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
            StorageError: if there are trials, but their study.db is gone.
        """
        if self._oracle.keeps_study and self._run.overwrite:
            raise SearchError(
                f"The earlier search in {self.run_directory} is deleted when the new one begins: "
                "call `search` first."
            )
        self._identity.check_study_file()
        self._oracle.open()
        return self._oracle.study

    def _populate_initial_space(self) -> None:
        """Find the search space with fewer builds than KerasTuner."""
        # What users print in `build` is shown.
        with contextlib.redirect_stdout(self._stdout or sys.stdout):
            model, self._defaults = discover_space(self._searched, self.oracle)
        is_model = isinstance(model, keras.Model)
        self._default_model = describe_model(model) if is_model else []
        self.export_obstacle = export_obstacle(model) if is_model else None

    def _define(self, hypermodel: Any, before: dict[str, Any], oracle: Any) -> Identity:
        """Return the identity of the search, given the hypermodel before the space was found.

        A worker of a chief has a client in place of the oracle afterwards.
        """
        definition = SearchDefinition(
            hypermodel=unchanged(before, describe_hypermodel(hypermodel)),
            code=describe_code(hypermodel),
            recipe=describe_recipe(self.recipe),
            objectives=[[objective.name, objective.direction] for objective in self.objectives],
            seed=self.seed,
            folds=self._folds or 1,
            executions=self.executions_per_trial,
            limits=dict(self._limits),
            oracle=adapt(oracle).kind,
            space=oracle.get_space().get_config()["space"],
            values=self._defaults,
            model=self._default_model,
        )
        return Identity(definition, self._searched, adapt(oracle), self._run)

    def _run_session(
        self,
        workers: int | Ray,
        work: Work,
        budget: Budget,
        *,
        data: ImageData | None,
        parts: Sequence[ImageData],
        verbose: bool,
    ) -> None:
        """Hold the run directory and run trials; the budget has no deadline yet.

        Raises:
            SearchError: if every trial fails.
            KeyboardInterrupt: on Ctrl-C, after the workers have been stopped.
        """
        jobs = self.oracle.max_trials
        if jobs is not None:
            # Failed trials are tried again.
            done = [record for record in self._run.trials() if record.status != FAILED]
            jobs = max(0, jobs - len(done))
        source = None if data is None else data.source
        check = partial(self._identity.check_run, data)
        shared = is_worker() or self._oracle.shared
        with (
            without_repetitions(),
            contextlib.closing(self._oracle),  # a refusal, too, leaves the study as it was
            disk_errors_explained(self.run_directory),
            self._run.begin(check, source=source, lock=not shared),
            make_executor(workers, self._run, jobs).started() as executor,
        ):
            self._oracle.open()
            if self._oracle.keeps_study and not self._oracle.shared:
                self._run.check_unchanged(self.oracle.trials)
            self._identity.note(data, parts)
            if self.choice is not None:
                self.choice.save(self.run_directory / AUTO_CHOICE)
            if data is not None:
                self._data = data
                if self.recipe == Recipe() and Recipe.for_images(data).augment == "text":
                    logger.warning(MIRRORED, self.recipe.augment)
                # Models for data of other kinds are not exported.
                if self.export_obstacle is not None and not (is_worker() or self._run.trials()):
                    logger.warning("%s", self.export_obstacle)
            self._run_trials(executor, work, budget, verbose=verbose)
        self._check_results()

    def _run_trials(self, executor: Executor, work: Work, budget: Budget, *, verbose: bool) -> None:
        """Run trials in a started executor until a limit is reached."""
        run = self._run
        plan = self._enqueue_plan(budget, executor.workers)
        self._write_record(budget)
        retried = [] if is_worker() else retry_failed(self._oracle, run)
        spent = run.seconds_spent()
        display = SearchDisplay(
            self.objectives[0].name,
            max_trials=self.oracle.max_trials,
            time_limit=budget.time_limit,
            done=len(run.trials()) - len(retried),
            used=spent,
            console=Console(stderr=True) if verbose else None,
        )
        limit, epochs = budget.time_limit, budget.epochs
        budget = dataclasses.replace(
            budget,
            deadline=None if limit is None else time.monotonic() + limit - spent,
            workers=executor.workers,
            family_epochs=epochs_by_family(self._searched.wrapped, epochs) | plan.epochs(epochs),
        )
        shared = is_worker() or self._oracle.shared
        tracking = Tracking(
            # The chief logs the trials of its workers.
            [] if is_worker() else self._trackers,
            run.path,
            run.read_search(),
            () if shared else run.trials(),
        )
        loop = SearchLoop(
            self,
            self._oracle,
            run,
            budget,
            plan,
            display=display,
            tracking=tracking,
            in_process=isinstance(executor, Serial),
        )
        self.on_search_begin()
        try:
            with (
                display,
                quiet_keras_tuner(prints=True),
                light_collections(),
                interrupts_kept(),
            ):
                if is_chief():
                    loop.reason = serve(self.oracle, loop.watch)
                else:
                    executor.run(work, loop)
                loop.close()
                warn_of_absent(self._oracle, run.path)
            tracking.finished = True
            if loop.reason is not None:
                logger.info("The search ended: %s.", loop.reason)
        except KeyboardInterrupt:
            done = len(run.best_trials())
            logger.warning(
                "Interrupted. %s with a score %s kept in %s; the same search continues from there.",
                count(done, "trial"),
                "is" if done == 1 else "are",
                run.path,
            )
            raise
        finally:
            loop.leave()
            tracking.close(next(iter(run.best_trials(1)), None), self.best_model)
        self.on_search_end()

    def _enqueue_plan(self, budget: Budget, workers: int) -> Plan:
        """Enqueue the first configurations of a search whose families were chosen by "auto"."""
        if self.choice is None or not self._oracle.keeps_study:
            return Plan()
        seconds = budget.time_limit
        if seconds is not None:
            # The costs of images that the plan estimates are those of another machine.
            seconds /= workers * network_slowness(seconds)
        plan = Plan.of(self.choice, self.oracle.get_space(), seconds)
        for values in plan.first:
            self.enqueue(values)
        return plan

    def _write_record(self, budget: Budget) -> None:
        record = SearchRecord(
            objective=self.objectives[0].name,
            direction=self.objectives[0].direction,
            strategy=self._strategy,
            seed=self.seed,
            epochs=budget.epochs,
            max_trials=self.oracle.max_trials,
            time_limit=budget.time_limit,
            hypermodel=self._searched.title,
            versions=versions(),
            folds=self._folds or 1,
            executions=self.executions_per_trial,
            defaults_first=self.choice is None,
        )
        record.save(self.run_directory / SEARCH)

    def _check_results(self) -> None:
        """Warn if trial 0 has failed.

        Raises:
            SearchError: if all trials have failed.
        """
        trials = self._run.trials()
        if trials and not self._run.best_trials(1):
            raise SearchError(
                f"All {len(trials)} trials failed; the first one: {trials[0].message}"
            )
        if warning := first_trial_failure(trials, self._run.read_search()):
            logger.warning(warning)


def retry_failed(oracle: SearchOracle, run: RunDirectory) -> list[str]:
    """Retry trials of earlier runs that failed, or that ended but whose files cannot be read.

    Trials over a limit are not retried, nor are those that crashed a process in the last retry.

    Returns:
        The ids of the trials that failed, whose number is logged; those with unreadable files are
        named in the log.
    """
    lost = run.discard_damaged()
    final = {
        record.trial_id
        for record in run.trials()
        if record.status != FAILED or CrashLog(run.trial(record.trial_id)).count > MAX_CRASHES
    }
    retried = [name for name in oracle.retry_failed(final, lost) if name not in lost]
    if retried:
        logger.warning(
            "%s failed in an earlier run; %s tried again.",
            count(len(retried), "trial"),
            "they are" if len(retried) > 1 else "it is",
        )
    return retried
