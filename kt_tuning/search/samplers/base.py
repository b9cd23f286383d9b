"""What all samplers share: positions in a range, and drawing all parameters together."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials whose results samplers use."""


def value_count(distribution: BaseDistribution) -> int | None:
    """Return the number of values of a distribution; None if it is continuous."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return len(choices)
        case IntDistribution(low=low, high=high, step=step):
            return (high - low) // step + 1
        case FloatDistribution(low=low, high=high, step=float(step)):
            return round((high - low) / step) + 1
    return None


def from_unit(distribution: BaseDistribution, position: float) -> Any:
    """Return the value at a position; each value (or logarithm) has an equal share of [0, 1).

    Positions outside are clipped.
    """
    position = min(max(position, 0.0), 1.0 - 1e-12)
    index = int(position * (value_count(distribution) or 0))
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[index]
        case IntDistribution(low=low, high=high, log=True):
            return min(max(int(low * ((high + 1) / low) ** position), low), high)
        case IntDistribution(low=low, step=step):
            return low + index * step
        case FloatDistribution(low=low, high=high, log=True):
            return float(min(max(low * (high / low) ** position, low), high))
        case FloatDistribution(low=low, high=high, step=None):
            return float(min(low + position * (high - low), high))
        case FloatDistribution(low=low, high=high, step=float(step)):
            return float(min(low + index * step, high))
    raise TypeError(f"Unknown distribution {distribution!r}")


def to_unit(distribution: BaseDistribution, value: Any) -> float:
    """Return the position of a value in [0, 1]; of a discrete value the middle of its share."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return (choices.index(value) + 0.5) / len(choices)
        case IntDistribution(low=low, high=high, log=True):
            return float(np.log((value + 0.5) / low) / np.log((high + 1) / low))
        case IntDistribution(low=low, high=high, step=step):
            return (value - low + 0.5 * step) / (high - low + step)
        case FloatDistribution(low=low, high=high, log=True):
            return float(np.log(value / low) / np.log(high / low)) if high > low else 0.5
        case FloatDistribution(low=low, high=high, step=step):
            width = high - low + (step or 0.0)
            return (value - low + 0.5 * (step or 0.0)) / width if width else 0.5
    raise TypeError(f"Unknown distribution {distribution!r}")


class RelativeSampler(BaseSampler):
    """Draws parameters that a subclass does not model uniformly.

    Args:
        seed: Equal seeds give equal draws.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter uniformly."""
        return from_unit(param_distribution, self._rng.random())


def seen_space(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return every parameter of any trial with its newest range."""
    space: dict[str, BaseDistribution] = {}
    for trial in trials:
        space.update(trial.distributions)
    return {name: space[name] for name in space if not space[name].single()}
