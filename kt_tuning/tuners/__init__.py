"""KerasTuner's tuners under KerasTuner's names, with everything that `kt_tuning.Tuner` adds.

Their arguments are KerasTuner's, in KerasTuner's order.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
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
    """Random search: draws all configurations at random."""

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
        """Set up a search, or resume an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective`, or a list of them, whose sum is
                optimised; None if trials return a single number to minimise.
            max_trials: Largest number of trials; None for no limit.
            seed: The same seed gives the same trials; random if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            tune_new_entries: Whether hyperparameters outside of `hyperparameters` are searched.
            allow_new_entries: Whether hyperparameters outside of `hyperparameters` are allowed.
            max_retries_per_trial: Number of times that a failed trial is retried.
            max_consecutive_failed_trials: Failed trials in a row after which `search` raises a
                RuntimeError.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = _make_oracle(oracles.RandomSearchOracle, locals())
        super().__init__(oracle, hypermodel, seed=seed or 0, **kwargs)


class GridSearchOracle(oracles.GridSearchOracle):
    """KerasTuner's grid search, which also continues after a restart."""

    def reload(self) -> None:
        """Read the trials of an earlier search, and put them into the order of the grid.

        KerasTuner does not store the order, and would end the search.
        """
        super().reload()

        def compare(one: str, other: str) -> int:
            values = (self.trials[name].hyperparameters.values for name in (one, other))
            order: int = self._compare(*values)
            return order

        for trial_id in sorted(self.start_order, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(trial_id)
        self._populate_next = list(self.end_order)


class GridSearch(Tuner):
    """Grid search: tries every combination of values, varying the last hyperparameter fastest."""

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
        """Set up a search, or resume an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective`, or a list of them, whose sum is
                optimised; None if trials return a single number to minimise.
            max_trials: Largest number of trials; None for no limit.
            seed: The same seed gives the same trials; random if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            tune_new_entries: Whether hyperparameters outside of `hyperparameters` are searched.
            allow_new_entries: Whether hyperparameters outside of `hyperparameters` are allowed.
            max_retries_per_trial: Number of times that a failed trial is retried.
            max_consecutive_failed_trials: Failed trials in a row after which `search` raises a
                RuntimeError.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = _make_oracle(GridSearchOracle, locals())
        super().__init__(oracle, hypermodel, seed=seed or 0, **kwargs)


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
        """Set up a search, or resume an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective`, or a list of them, whose sum is
                optimised; None if trials return a single number to minimise.
            max_epochs: Epochs of the longest training.
            factor: Each round keeps 1/`factor` of the configurations and trains them `factor` times
                as long; at least 2.
            hyperband_iterations: Number of repetitions of the whole algorithm.
            seed: The same seed gives the same trials; random if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            tune_new_entries: Whether hyperparameters outside of `hyperparameters` are searched.
            allow_new_entries: Whether hyperparameters outside of `hyperparameters` are allowed.
            max_retries_per_trial: Number of times that a failed trial is retried.
            max_consecutive_failed_trials: Failed trials in a row after which `search` raises a
                RuntimeError.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = _make_oracle(oracles.HyperbandOracle, locals())
        super().__init__(oracle, hypermodel, seed=seed or 0, **kwargs)

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a model with the weights of the trial that it continues, as KerasTuner does."""
        model = super()._build_hypermodel(hp)
        if (earlier := hp.values.get("tuner/trial_id")) is not None:
            load_weights(model, Path(self._get_checkpoint_fname(earlier)))
        return model


class BayesianOptimization(Tuner):
    """Bayesian optimisation: a Gaussian process with the upper confidence bound."""

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
        """Set up a search, or resume an earlier one.

        Args:
            hypermodel: As for `kt_tuning.Tuner`; None if a subclass overrides `run_trial`.
            objective: A name, a `keras_tuner.Objective`, or a list of them, whose sum is
                optimised; None if trials return a single number to minimise.
            max_trials: Largest number of trials; None for no limit.
            num_initial_points: Number of random configurations at the beginning; None for three
                times the number of hyperparameters.
            alpha: Lower bound of the fitted noise variance, relative to that of the signal.
            beta: Weight of exploration in the upper confidence bound.
            seed: The same seed gives the same trials; random if None.
            hyperparameters: A space with hyperparameters that are fixed or narrowed.
            tune_new_entries: Whether hyperparameters outside of `hyperparameters` are searched.
            allow_new_entries: Whether hyperparameters outside of `hyperparameters` are allowed.
            max_retries_per_trial: Number of times that a failed trial is retried.
            max_consecutive_failed_trials: Failed trials in a row after which `search` raises a
                RuntimeError.
            **kwargs: Further arguments of `kt_tuning.Tuner`.
        """
        oracle = _make_oracle(GaussianProcessOracle, locals())
        super().__init__(oracle, hypermodel, seed=seed or 0, **kwargs)


def _make_oracle(
    kind: type[keras_tuner.Oracle], arguments: Mapping[str, Any]
) -> keras_tuner.Oracle:
    """Make an oracle of those arguments of a tuner that the oracle takes."""
    names = inspect.signature(kind).parameters.keys() & arguments.keys()
    oracle = kind(**{name: arguments[name] for name in names})
    if arguments["seed"] is not None:
        # KerasTuner takes a seed of 0 for none.
        oracle.seed = oracle._seed_state = arguments["seed"]
    return oracle
