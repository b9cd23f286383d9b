"""KerasTuner's tuners under KerasTuner's names, with everything that `kt_tuning.Tuner` adds.

Their arguments are KerasTuner's, in KerasTuner's order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner import SklearnTuner, oracles

from kt_tuning.trials import load_weights
from kt_tuning.tuner import Tuner
from kt_tuning.tuners.gaussian_process_oracle import GaussianProcessOracle

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "Hyperband",
    "RandomSearch",
    "SklearnTuner",
    "Tuner",
]


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
        super().__init__(_seeded(oracle, seed), hypermodel, seed=seed or 0, **kwargs)


class GridSearch(Tuner):
    """Tries every combination of values, the last hyperparameter first."""

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        """Prepare a search, or take up an earlier one.

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
        oracle = oracles.GridSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(_seeded(oracle, seed), hypermodel, seed=seed or 0, **kwargs)


class Hyperband(Tuner):
    """Trains many configurations for a few epochs, and the better ones for longer.

    Source: L. Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization,
    JMLR 18 (2018), https://jmlr.org/papers/v18/16-558.html.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        """Prepare a search, or take up an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective` or a list of them, whose sum is optimised
                then; None if a training returns a single number to minimise.
            max_epochs: Epochs of the longest training.
            factor: Each round keeps one in so many configurations and trains it so many times as
                long.
            hyperband_iterations: How often the whole algorithm is run.
            seed: Same seed, same trials; random if None.
            hyperparameters: A space that is fixed or narrowed in advance.
            tune_new_entries: Whether hyperparameters that appear in a build are searched.
            allow_new_entries: Whether they may appear at all.
            max_retries_per_trial: How often a trial that raised an error is run again.
            max_consecutive_failed_trials: The search raises a RuntimeError after so many failed
                trials in a row.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = oracles.HyperbandOracle(
            objective=objective,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(_seeded(oracle, seed), hypermodel, seed=seed or 0, **kwargs)

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a model with the weights of the trial that it goes on from, as KerasTuner does."""
        model = super()._build_hypermodel(hp)
        if (earlier := hp.values.get("tuner/trial_id")) is not None:
            load_weights(model, Path(self._get_checkpoint_fname(earlier)))
        return model


class BayesianOptimization(Tuner):
    """Chooses configurations by a Gaussian process and the upper confidence bound."""

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 0.0001,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        """Prepare a search, or take up an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective` or a list of them, whose sum is optimised
                then; None if a training returns a single number to minimise.
            max_trials: Trials, at most; None for no limit.
            num_initial_points: Random configurations at first; None for three times the number of
                hyperparameters.
            alpha: Variance of the noise relative to the signal's, at least; it is fitted.
            beta: Weight of exploration in the upper confidence bound.
            seed: Same seed, same trials; random if None.
            hyperparameters: A space that is fixed or narrowed in advance.
            tune_new_entries: Whether hyperparameters that appear in a build are searched.
            allow_new_entries: Whether they may appear at all.
            max_retries_per_trial: How often a trial that raised an error is run again.
            max_consecutive_failed_trials: The search raises a RuntimeError after so many failed
                trials in a row.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = GaussianProcessOracle(
            objective=objective,
            max_trials=max_trials,
            num_initial_points=num_initial_points,
            alpha=alpha,
            beta=beta,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(_seeded(oracle, seed), hypermodel, seed=seed or 0, **kwargs)


def _seeded(oracle: keras_tuner.Oracle, seed: int | None) -> keras_tuner.Oracle:
    """Set an oracle's seed, 0 included, which KerasTuner takes for "none given"."""
    if seed is not None:
        oracle.seed = oracle._seed_state = seed
    return oracle
