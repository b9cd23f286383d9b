"""Samplers, which draw the next configuration, and the registry of strategies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from optuna import samplers

from kt_tuning.core.errors import OptionError, require_extra
from kt_tuning.core.names import find_name
from kt_tuning.search.pruning import REDUCTION, RUNGS
from kt_tuning.search.samplers.gaussian_process import GaussianProcessSampler
from kt_tuning.search.samplers.mutation import (
    EvolutionSampler,
    PerturbationSampler,
    PriorBandSampler,
)
from kt_tuning.search.samplers.space_filling import QuasiMonteCarloSampler

GENERATION = 20
"""Population size; Optuna's 50 would be most of the trials of a short search."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A sampler with the pruner that goes with it.

    A sampler is made for each draw from a seed that belongs to the trial, and keeps its state in
    the study: a search that was killed continues with the same draws.

    Attributes:
        sampler: Maps (seed of the search, seed of this draw) to a sampler.
        pruner: Name in `PRUNERS`.
        several: Whether it supports several objectives.
        default_never_pauses: Whether the default configuration is trained to its end. A model that
            learns slowly, such as a large network whose learning rate decays late, looks bad at
            every rung although defaults are chosen for their end; and there is one fully trained
            model early.
        ends_near_best: Whether the last trials of a limited time perturb the best one and train to
            their end. Other configurations could not be trained enough; these score like the best
            and make different errors, which helps an ensemble.
        exhaustive: Whether every combination is tried in order, and nothing is sampled.
    """

    sampler: Callable[[int, int], samplers.BaseSampler]
    pruner: str = "none"
    several: bool = True
    default_never_pauses: bool = False
    ends_near_best: bool = False
    exhaustive: bool = False


def _tpe(search: int, draw: int) -> samplers.BaseSampler:
    # group: the parameters of a branch are modelled together over the trials that took it. Running
    # trials are avoided ("constant liar"), Optuna's default.
    return samplers.TPESampler(seed=draw, multivariate=True, group=True)


_RANDOM = Strategy(lambda search, draw: samplers.RandomSampler(seed=draw))
CMAES = "cmaes"
AUTO = "auto"
"""The default, measured by `benchmarks/search_quality.py`."""
FEW = REDUCTION**RUNGS
"""With fewer trials "auto" does not halve, which would leave one trial for an ensemble."""

SAMPLERS: dict[str, Strategy] = {
    AUTO: Strategy(
        lambda search, draw: PriorBandSampler(draw, _tpe(search, draw)),
        "asha",
        default_never_pauses=True,
        ends_near_best=True,
    ),
    "random": _RANDOM,
    "grid": dataclasses.replace(_RANDOM, exhaustive=True),
    "qmc": Strategy(lambda search, draw: QuasiMonteCarloSampler(search)),
    "tpe": Strategy(_tpe),
    "gp": Strategy(lambda search, draw: GaussianProcessSampler(draw)),
    # KerasTuner's name for it.
    "bayesian": Strategy(lambda search, draw: GaussianProcessSampler(draw)),
    CMAES: Strategy(
        lambda search, draw: samplers.CmaEsSampler(seed=draw, warn_independent_sampling=False),
        several=False,
    ),
    "genetic": Strategy(
        lambda search, draw: samplers.NSGAIISampler(population_size=GENERATION, seed=draw)
    ),
    "evolution": Strategy(lambda search, draw: EvolutionSampler(draw)),
    "hyperband": dataclasses.replace(_RANDOM, pruner="hyperband"),
    "asha": dataclasses.replace(_RANDOM, pruner="asha"),
    "bohb": Strategy(_tpe, "hyperband"),
}

ALIASES = {
    "CMA-ES": "cmaes",
    "RandomSearch": "random",
    "GridSearch": "grid",
    "BayesianOptimization": "bayesian",
}
"""Other spellings of strategies, such as the names of KerasTuner's classes."""


def perturbations(number: int) -> Strategy:
    """Return a strategy that perturbs the trial with a number in the study."""
    return Strategy(lambda search, draw: PerturbationSampler(draw, number))


def strategy_name(strategy: str) -> str:
    """Return the name in `SAMPLERS` that a spelling stands for.

    Raises:
        OptionError: if there is none.
    """
    hint = "or pass a sampler of optuna.samplers"
    return find_name(strategy, SAMPLERS, "strategy", aliases=ALIASES, hint=hint)


def find_strategy(
    strategy: str | samplers.BaseSampler, *, objectives: int = 1, trials: int | None = None
) -> Strategy:
    """Return the strategy of a name, or one with a given sampler.

    Args:
        strategy: A name in `SAMPLERS`, or a sampler.
        objectives: Number of objectives.
        trials: Largest number of trials; None for no limit.

    Raises:
        OptionError: if there is no such strategy, or it takes one objective only.
        MissingExtraError: if it needs a package that is not installed.
    """
    if isinstance(strategy, samplers.BaseSampler):
        return Strategy(lambda search, draw: strategy)
    name = strategy_name(strategy)
    if objectives > 1 and not SAMPLERS[name].several:
        fitting = [one for one, row in SAMPLERS.items() if row.several and row.pruner == "none"]
        raise OptionError(
            f"The strategy {name!r} takes one objective. Received {objectives}. Strategies "
            f"for several: {', '.join(fitting)}."
        )
    chosen = SAMPLERS[name]
    if name == CMAES:
        require_extra("The strategy 'cmaes'", "cmaes")
    if name == AUTO and objectives > 1:
        return dataclasses.replace(chosen, pruner="none", ends_near_best=False)
    few = trials is not None and trials < FEW
    return dataclasses.replace(chosen, pruner="none") if name == AUTO and few else chosen
