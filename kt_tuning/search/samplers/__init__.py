"""Samplers, which draw the next configuration."""

from kt_tuning.search.samplers.evolution import EvolutionSampler
from kt_tuning.search.samplers.gaussian_process import GaussianProcessSampler
from kt_tuning.search.samplers.grid import GridSampler
from kt_tuning.search.samplers.registry import (
    SAMPLERS,
    Strategy,
    find_strategy,
    perturbations,
    strategy_name,
)

__all__ = [
    "SAMPLERS",
    "EvolutionSampler",
    "GaussianProcessSampler",
    "GridSampler",
    "Strategy",
    "find_strategy",
    "perturbations",
    "strategy_name",
]
