"""The strategies by name."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable

from optuna import samplers

from kt_tuning.errors import MissingExtraError, OptionError
from kt_tuning.names import find_name
from kt_tuning.search.rungs import REDUCTION, RUNGS
from kt_tuning.search.samplers.evolution import EvolutionSampler
from kt_tuning.search.samplers.gaussian_process import GaussianProcessSampler
from kt_tuning.search.samplers.grid import GridSampler
from kt_tuning.search.samplers.local_search import NeighbourSampler
from kt_tuning.search.samplers.priorband import PriorSampler
from kt_tuning.search.samplers.qmc import QuasiMonteCarloSampler

GENERATION = 20
"""Trials of a generation: searches of models are short, and Optuna's 50 would be most of one."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    """How configurations are drawn, and which trials are cut short.

    A sampler is made anew for each draw, from a seed that belongs to the trial: whatever it
    remembers is in the study, so a search that was killed goes on as if it had not been.

    Attributes:
        sampler: (seed of the search, seed of this draw) -> sampler.
        pruner: Name in `PRUNERS` that goes with it; "none" if it has no opinion.
        several: Whether it takes several objectives.
        spares_defaults: Whether the default configuration never pauses. What learns slowly and ends
            well, such as a large network whose rate falls late, looks bad until its end; defaults
            are chosen for their end. And there is one whole model early, whatever happens.
        ends_near_best: Whether a search whose time is nearly up trains neighbours of its best trial
            to their end. What else begins so late cannot be trained enough to be any good; these
            are as good as the best, and err elsewhere, which is what an ensemble needs.
    """

    sampler: Callable[[int, int], samplers.BaseSampler]
    pruner: str = "none"
    several: bool = True
    spares_defaults: bool = False
    ends_near_best: bool = False


def _random(search: int, draw: int) -> samplers.BaseSampler:
    return samplers.RandomSampler(seed=draw)


def _tpe(search: int, draw: int) -> samplers.BaseSampler:
    # Groups: parameters of a branch are modelled together, over the trials that took it. Running
    # trials are avoided ("constant liar"), which is Optuna's default.
    return samplers.TPESampler(seed=draw, multivariate=True, group=True)


def _auto(search: int, draw: int) -> samplers.BaseSampler:
    return PriorSampler(draw, _tpe(search, draw))


def _check_cmaes() -> None:
    if importlib.util.find_spec("cmaes") is None:
        raise MissingExtraError(
            "The strategy 'cmaes' needs the package cmaes: pip install 'kt-tuning[cmaes]'"
        )


def _cmaes(search: int, draw: int) -> samplers.BaseSampler:
    return samplers.CmaEsSampler(seed=draw, warn_independent_sampling=False)


def _genetic(search: int, draw: int) -> samplers.BaseSampler:
    return samplers.NSGAIISampler(population_size=GENERATION, seed=draw)


CMAES = "cmaes"
AUTO = "auto"
"""The default; `benchmarks/search_quality.py` measures it."""
FEW = REDUCTION**RUNGS
"""With fewer trials `auto` trains each to its end: halving would leave one for an ensemble."""

SAMPLERS: dict[str, Strategy] = {
    AUTO: Strategy(_auto, "asha", spares_defaults=True, ends_near_best=True),
    "random": Strategy(_random),
    "grid": Strategy(lambda search, draw: GridSampler()),
    "qmc": Strategy(lambda search, draw: QuasiMonteCarloSampler(search)),
    "tpe": Strategy(_tpe),
    "gp": Strategy(lambda search, draw: GaussianProcessSampler(draw)),
    # KerasTuner's name for it.
    "bayesian": Strategy(lambda search, draw: GaussianProcessSampler(draw)),
    CMAES: Strategy(_cmaes, several=False),
    "genetic": Strategy(_genetic),
    "evolution": Strategy(lambda search, draw: EvolutionSampler(draw)),
    "hyperband": Strategy(_random, "hyperband"),
    "asha": Strategy(_random, "asha"),
    "bohb": Strategy(_tpe, "hyperband"),
}

ALIASES = {
    "CMA-ES": "cmaes",
    "RandomSearch": "random",
    "GridSearch": "grid",
    "BayesianOptimization": "bayesian",
}
"""Other names of strategies: KerasTuner's classes, and how CMA-ES is written."""


def neighbours(number: int) -> Strategy:
    """What draws hardly anything else than a trial has.

    Args:
        number: Of the trial in the study.
    """
    return Strategy(lambda search, draw: NeighbourSampler(draw, number))


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
    """The row of a name, or one around a sampler of your own.

    Args:
        strategy: The name, or the sampler.
        objectives: How many there are.
        trials: Of the search, at most; None for no limit.

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
        _check_cmaes()
    few = trials is not None and trials < FEW
    if name == AUTO and objectives > 1:
        return dataclasses.replace(chosen, pruner="none", ends_near_best=False)
    return dataclasses.replace(chosen, pruner="none") if name == AUTO and few else chosen
