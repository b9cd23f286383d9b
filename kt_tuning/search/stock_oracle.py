"""KerasTuner's own oracles behind the interface of `OptunaOracle`, and their projects."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NoReturn

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.samplers import BaseSampler

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import COMPLETED, FAILED, INFEASIBLE, TrialRecord
from kt_tuning.run.layout import ORACLE
from kt_tuning.search.objectives import Objectives, find_objectives, metrics_at_best
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory


class StockOracle:
    """An oracle of KerasTuner for a search; see `OptunaOracle` for attributes and methods.

    It keeps no study, is not shared, and its trials are neither paused nor pruned: methods for
    these are missing.

    Args:
        oracle: The oracle, or the client of an oracle in another process.
    """

    keeps_study: Literal[False] = False
    shared: Literal[False] = False
    pauses: Literal[False] = False
    ends_near_best: Literal[False] = False
    storage = None

    def __init__(self, oracle: Any) -> None:
        self.oracle = oracle

    @property
    def kind(self) -> str:
        """Name of the class of the oracle."""
        return type(self.oracle).__name__

    def prepare(self, project_name: str, *, overwrite: bool, warm_start: Any) -> None:
        """Refuse a warm start, with a `SearchError`."""
        if warm_start is not None:
            self._refuse("warm_start")

    def restore(self, run: RunDirectory) -> None:
        """Take up the trials in a run directory, in the space as it is now.

        Those that have ended and have no record are noted. Nothing is written: the project can be
        opened by KerasTuner as before. What KerasTuner does not note is 0 in the records.
        """
        oracle = self.oracle
        if not (run.path / ORACLE).exists():
            return
        space = oracle.get_space()
        oracle.reload()
        space.merge(oracle.hyperparameters, overwrite=False)
        oracle.hyperparameters = space
        known = {record.trial_id for record in run.trials()}
        for number, trial_id in enumerate(oracle.start_order):
            trial = oracle.trials[trial_id]
            completed = trial.status == TrialStatus.COMPLETED
            if trial_id in known or not (completed or trial.status == TrialStatus.FAILED):
                continue
            record = TrialRecord(
                trial_id=trial_id,
                number=number,
                status=COMPLETED if completed else FAILED,
                values=dict(trial.hyperparameters.values),
                metrics=metrics_at_best(trial) if completed else {},
                best_epoch=trial.best_step or 0,
                epochs=0,
                seconds=0.0,
                parameters=0,
                message=trial.message,
            )
            run.note(record)

    def open(self) -> None:
        """Do nothing: there is no study."""

    def close(self) -> None:
        """Do nothing: there is no study."""

    @property
    def study(self) -> NoReturn:
        """Raise a `SearchError`: there is no study."""
        self._refuse("study")

    def enqueue(self, values: Any) -> None:
        """Raise a `SearchError`: only an `OptunaOracle` has a queue."""
        self._refuse("enqueue")

    def create_trial(self, slot: str, near: Any = None, restriction: Any = None) -> Trial:
        """Return the next trial; `near` and `restriction` are ignored."""
        return self.oracle.create_trial(slot)

    def report(self, trial_id: str, epoch: int, value: float, *, prune: bool = True) -> bool:
        """Return True: trials are not pruned."""
        return True

    def retry_failed(self, exclude: Collection[str] = (), lost: Collection[str] = ()) -> list[str]:
        """Retry each trial that failed before now once; see `OptunaOracle.retry_failed`."""
        oracle = self.oracle
        ended = [(name, oracle.trials[name].status) for name in oracle.end_order]
        failed = [
            name
            for name, status in ended
            if (status == TrialStatus.FAILED and name not in exclude) or name in lost
        ]
        oracle.end_order = [name for name in oracle.end_order if name not in failed]
        # KerasTuner takes the last element first.
        oracle._retry_queue += reversed(failed)
        return failed

    def failures(self, trial_id: str) -> int | None:
        """Return None: failed attempts are not counted."""
        return None

    def failure_status(self, status: str) -> str:
        """Return the status of a trial without a score.

        KerasTuner's oracles know no limits; they run an "INVALID" trial again if
        `max_retries_per_trial` allows it.
        """
        return FAILED if status == INFEASIBLE else TrialStatus.INVALID

    def _refuse(self, action: str) -> NoReturn:
        raise SearchError(
            f"A {self.kind} keeps no Optuna study, which `{action}` needs. Use a strategy by name."
        )


SearchOracle = OptunaOracle | StockOracle
"""An oracle with the interface that a search needs."""


def make_oracle(
    strategy: str | BaseSampler | keras_tuner.Oracle, *, objective: Objectives, **options: Any
) -> keras_tuner.Oracle:
    """Return the oracle of a strategy.

    Args:
        strategy: A name, a sampler of Optuna or an oracle; see `Tuner`.
        objective: One or several, see `find_objectives`; an oracle has its own.
        **options: Arguments of `OptunaOracle`.

    Raises:
        OptionError: if an argument is wrong.
    """
    if isinstance(strategy, (str, BaseSampler)):
        found = find_objectives(objective)
        return OptunaOracle(strategy, objective=found if len(found) > 1 else found[0], **options)
    if not is_oracle(strategy):
        raise OptionError(
            "`strategy` is a name in STRATEGIES, a sampler of Optuna or a keras_tuner.Oracle. "
            f"Received: {strategy!r}"
        )
    return strategy


def is_oracle(value: Any) -> bool:
    """Whether a value is an oracle of KerasTuner or of this package."""
    return hasattr(value, "create_trial") and not isinstance(value, type)


def adapt(oracle: Any) -> SearchOracle:
    """Return an oracle with the interface of `OptunaOracle`."""
    return oracle if hasattr(oracle, "keeps_study") else StockOracle(oracle)
