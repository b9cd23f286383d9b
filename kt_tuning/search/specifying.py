"""What each trial of a search is told to do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial

from kt_tuning.search.budget import Budget
from kt_tuning.search.families import family_of
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.trials import TrialSpec


@dataclasses.dataclass(frozen=True)
class TrialOptions:
    """What all trials of a search have in common.

    Attributes:
        seed: Of the search.
        folds: Of the cross-validation; 1 without.
        executions: Trainings of each configuration, on each fold.
        limits: What a model may cost, at most, by name in `COSTS`.
    """

    seed: int
    folds: int
    executions: int
    limits: Mapping[str, float]

    @property
    def several(self) -> bool:
        """Whether a trial trains more than once."""
        return self.folds * self.executions > 1


@dataclasses.dataclass(frozen=True)
class Specifier:
    """Makes an executor's job of what the oracle hands out.

    Attributes:
        oracle: Of the search.
        run: Where trials are kept.
        budget: How far each is trained.
        options: What all trials have in common.
        longest: Seconds that a whole training may take.
    """

    oracle: keras_tuner.Oracle
    run: RunDirectory
    budget: Budget
    options: TrialOptions
    longest: float

    def specify(
        self, trial: Trial, *, first: bool, early: bool = False, spared: bool = False
    ) -> TrialSpec:
        """The job of one trial.

        Args:
            trial: Of the oracle.
            first: Whether no trial has a score yet.
            early: Whether it is to have one after the first part of the time, if it is a trial
                that is done after one epoch.
            spared: Whether it may take all of the time that is left.
        """
        # A chief's oracle cannot be asked; its ids are numbers.
        order = getattr(self.oracle, "start_order", None)
        number = int(trial.trial_id) if order is None else order.index(trial.trial_id)
        values = trial.hyperparameters.values
        # KerasTuner's Hyperband says how far a trial is trained, and from which one it goes on.
        earlier = values.get("tuner/trial_id")
        family = family_of(values)
        full = self.budget.epochs_of(family)
        return TrialSpec(
            trial_id=trial.trial_id,
            number=number,
            hp=trial.hyperparameters,
            epochs=min(full, values.get("tuner/epochs", full)),
            initial_epoch=values.get("tuner/initial_epoch", 0),
            origin=None if earlier is None else self.run.trial(earlier),
            seed=int(np.random.SeedSequence((self.options.seed, number)).generate_state(1)[0]),
            directory=self.run.trial(trial.trial_id),
            deadline=self.budget.trial_deadline(early=early and self.budget.ends_at_once(family)),
            # The first trial is worth having however little it is trained.
            least_epochs=0 if first else 1 if spared else self.budget.worthwhile_epochs(family),
            longest=math.inf if spared else self.longest,
            executions=self.options.executions,
            limits=self.options.limits,
        )
