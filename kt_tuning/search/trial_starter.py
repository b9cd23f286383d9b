"""Starting trials, and counting the crashes of the processes that run them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import COMPLETED, FAILED
from kt_tuning.run.layout import DEATHS
from kt_tuning.search.auto import Plan
from kt_tuning.search.budget import Budget, family_of
from kt_tuning.search.proposer import Restriction
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.trials import EPOCHS, TrialSpec

MAX_CRASHES = 2
"""Crashes without a finished epoch in between after which a trial has failed."""


@dataclasses.dataclass(frozen=True)
class _Crashes(Record):
    """The content of `deaths.json`; see `CrashLog`."""

    count: int = 0
    epochs: int = 0
    running: bool = False


class CrashLog:
    """The crashes of the processes that run one trial, counted in its folder.

    A trial that runs in the process of the search leaves a file while it runs, which a process that
    crashes cannot remove. The crash of a worker is counted by the process that started it.

    Args:
        folder: Folder of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DEATHS
        self._known = _Crashes()
        with contextlib.suppress(StorageError):  # there is no file, or a damaged one
            self._known = _Crashes.load(self._path)

    @property
    def count(self) -> int:
        """Crashes since the last one before which a further epoch was finished."""
        return self._known.count

    def begin(self, epochs: int) -> int:
        """Record that this process runs the trial, of which `epochs` are finished.

        Returns:
            Crashes if the process that ran the trial before crashed, else 0.
        """
        crashed = self._known.running
        if crashed:
            self.add(epochs)
        if self.count < MAX_CRASHES or not crashed:
            self._note(running=True, epochs=epochs)
        return self.count if crashed else 0

    def add(self, epochs: int) -> int:
        """Record a crash with `epochs` finished; return the number of crashes."""
        count = 1 if epochs > self._known.epochs else self.count + 1
        self._note(count=count, epochs=epochs, running=False)
        return count

    def end(self) -> None:
        """Record that this process does not run the trial any more."""
        if self.count:
            self._note(running=False)
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the file: the trial has succeeded."""
        self._path.unlink(missing_ok=True)

    def _note(self, **changes: Any) -> None:
        self._known = dataclasses.replace(self._known, **changes)
        self._known.save(self._path, durable=False)


@dataclasses.dataclass(frozen=True)
class TrialOptions:
    """Settings that all trials of a search share.

    Attributes:
        seed: Seed of the search.
        folds: Folds of the cross-validation; 1 without one.
        executions: Trainings of each configuration on each fold.
        limits: Upper limits of a model's costs, by name in `COSTS`.
    """

    seed: int
    folds: int
    executions: int
    limits: Mapping[str, float]

    @property
    def several(self) -> bool:
        """Whether a trial trains more than once."""
        return self.folds * self.executions > 1

    def spec(self, trial: Trial, run: RunDirectory, *, number: int, epochs: int) -> TrialSpec:
        """Return how a trial is trained without a deadline.

        Args:
            trial: KerasTuner's trial, with its configuration.
            run: The run directory.
            number: Order of start, from 0.
            epochs: Epochs of a full training. KerasTuner's Hyperband sets those of each trial, and
                the trial whose weights are taken over.
        """
        values = trial.hyperparameters.values
        earlier = values.get("tuner/trial_id")
        return TrialSpec(
            trial_id=trial.trial_id,
            number=number,
            hp=trial.hyperparameters,
            epochs=values.get(EPOCHS, epochs),
            initial_epoch=values.get("tuner/initial_epoch", 0),
            origin=None if earlier is None else run.trial(earlier),
            seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            directory=run.trial(trial.trial_id),
            executions=self.executions,
            limits=self.limits,
        )


class TrialStarter:
    """Gets new trials from the oracle and decides how each of them is trained.

    The base class of `SearchLoop`, which describes the arguments. The tuner's id is the prefix of
    the names of worker slots, by which the oracle tells workers apart.
    """

    def __init__(
        self,
        tuner: keras_tuner.Tuner,
        oracle: SearchOracle,
        run: RunDirectory,
        budget: Budget,
        options: TrialOptions,
        plan: Plan,
    ) -> None:
        self._tuner, self._oracle, self._run = tuner, oracle, run
        self._budget, self._options, self._plan = budget, options, plan
        self._longest = math.inf
        self._earlier = frozenset(record.trial_id for record in run.trials())
        # Trials that failed and have not been started again: earlier ones do not end the search, as
        # their cause may have been removed.
        self._failed = {record.trial_id for record in run.trials() if record.status == FAILED}
        self._slots: dict[str, str] = {}
        """Slots in use by trial, those of paused trials included."""
        self._idle = False

    def _next_trial(self, near: str | None = None) -> tuple[Trial, TrialSpec] | None:
        """Get the next trial of the oracle, which may perturb another one; None if it has none."""
        first_free = next(
            name
            for number in range(len(self._slots) + 1)
            if (name := f"{self._tuner.tuner_id}.{number}") not in self._slots.values()
        )
        restriction = None if near else self._restriction()
        trial = self._oracle.create_trial(first_free, near, restriction)
        self._idle = trial.status == "IDLE"
        if trial.status != "RUNNING":
            return None
        self._slots[trial.trial_id] = first_free
        failures = self._oracle.failures(trial.trial_id)
        if failures is None and trial.trial_id in self._failed:
            failures = self._run.failures(trial.trial_id) + 1
        if failures:
            self._run.set_aside(trial.trial_id, failures)
        self._failed.discard(trial.trial_id)
        return trial, self._specify(trial)

    def _near_best(self) -> str | None:
        """The best trial if a perturbation of it should be trained to its end now, else None."""
        if not self._oracle.ends_near_best:
            return None
        whole = (t for t in self._run.best_trials() if t.status == COMPLETED and not t.message)
        best = next(whole, None)
        if best is None or self._budget.ends_at_once(family_of(best.values)):
            return None
        # The perturbations at the end of an earlier run do not count if there is more time now.
        begun = len(self._oracle.perturbations() - self._earlier)
        return best.trial_id if self._budget.is_last_chance(best, begun) else None

    def _restriction(self) -> Restriction | None:
        """The families that a new trial may have; None if there are not several."""
        families = list(self._budget.family_epochs)
        if len(families) < 2:
            return None
        trials, best = self._run.finished(), self._run.best_trials()
        affordable = self._budget.affordable(families, trials)
        held_back = self._plan.held_back(trials)
        order = [family_of(record.values) for record in best]
        preferred = [family for family in affordable if family not in held_back]
        preferred.sort(key=lambda family: order.index(family) if family in order else len(order))
        return Restriction(affordable, preferred)

    def _specify(self, trial: Trial) -> TrialSpec:
        values = trial.hyperparameters.values
        family = family_of(values)
        full = self._budget.epochs_of(family)
        first = len(self._slots) == 1 and not self._run.best_trials(1)
        planned = self._plan.includes(values)
        kept = planned and (self._budget.ends_at_once(family) or self._plan.never_pauses(values))
        early = first and (planned or self._budget.ends_at_once(family))
        deadline = self._budget.trial_deadline(early=early)
        left = math.inf if deadline is None or kept or first else deadline - time.monotonic()
        number = self._oracle.number(trial.trial_id)
        spec = self._options.spec(trial, self._run, number=number, epochs=full)
        return dataclasses.replace(
            spec,
            epochs=min(full, spec.epochs),
            deadline=deadline,
            # A first trial is kept however few epochs it trains: there is no other model.
            least_epochs=0 if first else 1 if kept else self._budget.worthwhile_epochs(family),
            longest=left if planned else self._longest,
        )
