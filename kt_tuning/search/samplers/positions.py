"""Conversion of values of a range to positions in [0, 1] and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


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
    """Return the value at a position in [0, 1); each value (or logarithm) has an equal share.

    Args:
        distribution: Distribution of the parameter.
        position: 0 is the lowest value, close to 1 the highest.
    """
    count = value_count(distribution) or 0
    index = min(int(position * count), count - 1)
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[index]
        case IntDistribution(low=low, high=high, log=True):
            value = int(low * ((high + 1) / low) ** position)
            return min(max(value, low), high)
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
