"""Random search."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner import oracles

from kt_tuning.tuner import Tuner
from kt_tuning.tuners.seeding import seeded


class RandomSearch(Tuner):
    """Draws every configuration at random."""

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        """Prepare a search, or take up an earlier one.

        The arguments are KerasTuner's, in KerasTuner's order.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective` or a list of them, whose sum is optimised
                then; None if a training returns a single number to minimise.
            max_trials: Trials, at most; None for no limit.
            seed: Same seed, same trials; random if None.
            hyperparameters: A space that is fixed or narrowed in advance.
            tune_new_entries: Whether hyperparameters that appear in a build are searched.
            allow_new_entries: Whether they may appear at all.
            max_retries_per_trial: How often a trial that raised an error is run again.
            max_consecutive_failed_trials: The search raises a RuntimeError after so many failed
                trials in a row.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = oracles.RandomSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(
            seeded(oracle, seed), hypermodel, seed=0 if seed is None else seed, **kwargs
        )
