"""One call of `Tuner.search` after its arguments were checked."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from kt_tuning.core.errors import SearchError
from kt_tuning.core.process import interrupts_kept
from kt_tuning.core.quiet import light_collections, quiet_keras_tuner
from kt_tuning.core.records import FAILED, SearchRecord, TrialRecord, first_trial_failure
from kt_tuning.core.units import count
from kt_tuning.execution import Executor, Serial, Work
from kt_tuning.search.auto import Plan
from kt_tuning.search.budget import Budget, epochs_by_family
from kt_tuning.search.chief import is_chief, is_worker, serve
from kt_tuning.search.crashes import MAX_CRASHES, CrashLog
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.options import check_count
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory, versions
from kt_tuning.search.shared_finalize import warn_of_absent
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.search.trial_starter import TrialOptions
from kt_tuning.tracking import Tracker, Tracking

logger = logging.getLogger("kt_tuning")


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of a search.

    Attributes:
        epochs: Epochs of a full training.
        seconds: Wall-clock of all trials, earlier runs included, or None.
        trial_seconds: Wall-clock of one trial, or None.
        max_stale_trials: Finished trials without a better one after which it ends, or None.
    """

    epochs: int
    seconds: float | None
    trial_seconds: float | None
    max_stale_trials: int | None

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        check_count("max_stale_trials", self.max_stale_trials, optional=True)


class SearchSession:
    """Runs the trials of a search until a limit is reached.

    Args:
        tuner: A `Tuner`; its hooks are called.
        oracle: The tuner's oracle, adapted and opened.
        run: Directory of the search, held by this process.
        limits: When the search ends.
        options: Settings of all trials.
        hypermodel: Hypermodel with its recipe.
        strategy: Name of the strategy.
        defaults_first: Whether trial 0 is the default configuration.
        trackers: Where the search is logged.
    """

    def __init__(
        self,
        tuner: Any,
        oracle: SearchOracle,
        run: RunDirectory,
        limits: Limits,
        options: TrialOptions,
        *,
        hypermodel: RecipeHyperModel,
        strategy: str,
        defaults_first: bool,
        trackers: Sequence[Tracker],
    ) -> None:
        self._tuner = tuner
        self._oracle = oracle
        self._run = run
        self._limits = limits
        self._options = options
        self._hypermodel = hypermodel
        self._strategy = strategy
        self._defaults_first = defaults_first
        self._plan = Plan()
        self._trackers = trackers

    def run(self, executor: Executor, work: Work, *, verbose: bool) -> None:
        """Run trials.

        Args:
            executor: Where they run; started.
            work: Runs one trial.
            verbose: Whether to show the live view.

        Raises:
            SearchError: if every trial fails.
            KeyboardInterrupt: on Ctrl-C, after the workers have been stopped.
        """
        tuner, run = self._tuner, self._run
        self._plan = self._enqueue_plan(executor.workers)
        self._write_record()
        retried = self._retry_failed()
        spent = run.seconds_spent()
        display = self._display(len(retried), spent, verbose=verbose)
        tracking = self._tracking()
        loop = SearchLoop(
            tuner,
            self._oracle,
            run,
            display,
            self._budget(executor.workers, spent),
            self._options,
            tracking,
            plan=self._plan,
            in_process=isinstance(executor, Serial),
        )
        tuner.on_search_begin()
        try:
            with (
                display,
                quiet_keras_tuner(prints=True),
                light_collections(),
                interrupts_kept(),
            ):
                if is_chief():
                    loop.reason = serve(tuner.oracle, loop.watch)
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
                "Interrupted. %s with a score %s kept in %s; the same search goes on from there.",
                count(done, "trial"),
                "is" if done == 1 else "are",
                run.path,
            )
            raise
        finally:
            loop.leave()
            tracking.close(next(iter(run.best_trials(1)), None), tuner.best_model)
        tuner.on_search_end()

    def _enqueue_plan(self, workers: int) -> Plan:
        """Enqueue the first configurations of a search whose families were chosen by "auto"."""
        tuner, limit = self._tuner, self._limits.seconds
        if tuner.choice is None or not self._oracle.keeps_study:
            return Plan()
        seconds_each = None if limit is None else limit / workers
        plan = Plan.of(tuner.choice, tuner.oracle.get_space(), seconds_each)
        for values in plan.first:
            tuner.enqueue(values)
        return plan

    def _write_record(self) -> None:
        tuner, objective = self._tuner, self._tuner.objectives[0]
        self._run.write_search(
            SearchRecord(
                objective=objective.name,
                direction=objective.direction,
                strategy=self._strategy,
                seed=tuner.seed,
                epochs=self._limits.epochs,
                max_trials=tuner.oracle.max_trials,
                time_limit=self._limits.seconds,
                hypermodel=self._hypermodel.title,
                versions=versions(),
                folds=self._options.folds,
                executions=self._options.executions,
                defaults_first=self._defaults_first,
            )
        )

    def _retry_failed(self) -> list[str]:
        retried = [] if is_worker() else retry_failed(self._oracle, self._run)
        if retried:
            logger.warning(
                "%s failed in an earlier run; %s tried again.",
                count(len(retried), "trial"),
                "they are" if len(retried) > 1 else "it is",
            )
        return retried

    def _budget(self, workers: int, spent: float) -> Budget:
        limits = self._limits
        left = None if limits.seconds is None else limits.seconds - spent
        families = epochs_by_family(self._hypermodel.wrapped, limits.epochs)
        return Budget(
            limits.epochs,
            None if left is None else time.monotonic() + left,
            time_limit=limits.seconds,
            workers=workers,
            trial_seconds=limits.trial_seconds,
            max_stale_trials=limits.max_stale_trials,
            family_epochs=families | self._plan.epochs(limits.epochs),
        )

    def _display(self, retried: int, spent: float, *, verbose: bool) -> SearchDisplay:
        return SearchDisplay(
            self._tuner.objectives[0].name,
            max_trials=self._tuner.oracle.max_trials,
            time_limit=self._limits.seconds,
            done=len(self._run.trials()) - retried,
            used=spent,
            console=Console(stderr=True) if verbose else None,
        )

    def _tracking(self) -> Tracking:
        shared = is_worker() or self._oracle.shared
        return Tracking(
            # The chief logs the trials of its workers.
            [] if is_worker() else self._trackers,
            self._run.path,
            self._run.read_search(),
            () if shared else self._run.trials(),
        )


def retry_failed(oracle: SearchOracle, run: RunDirectory) -> list[str]:
    """Retry trials of earlier runs that failed, or that ended but whose files cannot be read.

    Trials over a limit are not retried, nor are those that crashed a process in the last retry.

    Args:
        oracle: Oracle of the search.
        run: Directory of the trials.

    Returns:
        The ids of the trials that failed; those with unreadable files are named in the log.
    """
    lost = run.discard_damaged()
    final = {record.trial_id for record in run.trials() if not _may_be_retried(record, run)}
    retried = oracle.retry_failed(final, lost)
    return [trial_id for trial_id in retried if trial_id not in lost]


def _may_be_retried(record: TrialRecord, run: RunDirectory) -> bool:
    crashes = CrashLog(run.trial(record.trial_id)).read().count
    return record.status == FAILED and crashes <= MAX_CRASHES


def trials_left(oracle: Any, run: RunDirectory) -> int | None:
    """Return the number of trials that may still run, retries included; None for no limit."""
    if oracle.max_trials is None:
        return None
    done = [record for record in run.trials() if record.status != FAILED]
    return max(0, oracle.max_trials - len(done))


def check_results(run: RunDirectory) -> None:
    """Warn if trial 0 has failed.

    Raises:
        SearchError: if all trials have failed.
    """
    trials = run.trials()
    if trials and not run.best_trials(1):
        raise SearchError(f"All {len(trials)} trials failed; the first one: {trials[0].message}")
    if warning := first_trial_failure(trials, run.read_search()):
        logger.warning(warning)
