"""Encoding of configurations of a mixed, conditional space as points for a Gaussian process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from kt_tuning.search.samplers.base import from_unit, to_unit, value_count
from kt_tuning.search.samplers.space_filling import grid_values

Floats = NDArray[np.float64]

MANY = 128
"""A discrete parameter with more values is treated as continuous."""

SMOOTH = 0.5
"""Length scale of the effect of a single parameter."""


def matern(squared: Floats) -> tuple[Floats, Floats]:
    """Matérn 5/2 correlation and its derivative by the squared distance.

    k(r) = (1 + √5 r + 5/3 r²) exp(-√5 r), dk/d(r²) = -5/6 (1 + √5 r) exp(-√5 r); Rasmussen and
    Williams 2006, eq. 4.17.

    Args:
        squared: r², of any shape.
    """
    root = np.sqrt(5.0 * np.maximum(squared, 0.0))
    decay = np.exp(-root)
    return (1.0 + root + root * root / 3.0) * decay, (-5.0 / 6.0) * (1.0 + root) * decay


KNOTS = np.linspace(0.0, 1.0, 6)
WHITEN = np.linalg.inv(np.linalg.cholesky(matern(((KNOTS[:, None] - KNOTS) / SMOOTH) ** 2)[0])).T


class Encoding:
    """Encodes each parameter as a column: the index of a category, or a position in [0, 1].

    Positions of logarithmic ranges are logarithmic. Numeric choices are ordered and equally spaced
    positions. Inactive parameters are NaN.

    Args:
        space: Parameters by name.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.space = dict(space)
        self.names = list(space)
        self.levels = [_levels(distribution) for distribution in space.values()]
        """Values of each column if there are few; empty if any position is possible."""
        self.unordered = np.array([_is_unordered(d) for d in space.values()], bool)
        widths = [
            len(levels) if unordered else 1
            for levels, unordered in zip(self.levels, self.unordered, strict=True)
        ]
        self.groups = np.repeat(np.arange(len(widths)), widths)
        """(E,) column of the points that each feature comes from."""
        self._rules: dict[int, tuple[int, Floats]] = {}

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> Floats:
        """Return (N, D) points of N configurations."""
        points = np.full((len(configurations), len(self.names)), np.nan)
        for column, (name, distribution) in enumerate(self.space.items()):
            for row, parameters in enumerate(configurations):
                if name in parameters:
                    points[row, column] = self._position(column, distribution, parameters[name])
        return points

    def _position(self, column: int, distribution: BaseDistribution, value: Any) -> float:
        if not isinstance(distribution, CategoricalDistribution):
            return min(max(to_unit(distribution, value), 0.0), 1.0)
        if value not in distribution.choices:
            return np.nan
        if self.unordered[column]:
            return distribution.choices.index(value)
        return (_ranked(distribution).index(value) + 0.5) / len(distribution.choices)

    def learn_activity(self, points: Floats) -> None:
        """Infer from trials which value of a parent deactivates each conditional parameter.

        A parameter depends on the earlier parameter whose value always decides. If there is none
        (such as with two parents), the parameter counts as active.

        Args:
            points: (N, D), NaN where inactive.
        """
        self._rules = {}
        inactive = np.isnan(points)
        for child in np.flatnonzero(inactive.any(0)):
            off = inactive[:, child]
            for parent in range(child):
                values = np.unique(points[off, parent])
                decided = np.isin(points[:, parent], values) | inactive[:, parent]
                if len(self.levels[parent]) and (decided == off).all():
                    self._rules[int(child)] = (parent, values[~np.isnan(values)])
                    break

    def deactivate(self, points: Floats) -> Floats:
        """Set parameters of points (N, D) that their other values deactivate to NaN."""
        points = points.copy()
        for child, (parent, values) in self._rules.items():
            off = np.isnan(points[:, parent]) | np.isin(points[:, parent], values)
            points[off, child] = np.nan
        return points

    def features(self, points: Floats) -> Floats:
        """Return (N, E) features: positions, and categories one-hot at distance 1.

        Inactive parameters are equally far from all categories, or from both ends.
        """
        columns: list[Floats] = []
        for column, levels in enumerate(self.levels):
            values = points[:, column, None]
            if self.unordered[column]:
                columns.append((values == levels) * np.sqrt(0.5))
            else:
                columns.append(np.where(np.isnan(values), 0.5, values))
        return np.concatenate(columns, axis=1)

    def effects(self, points: Floats) -> Floats:
        """Return (N, F) features in which any smooth function of one parameter is linear.

        Positions: whitened Matérn correlations with a few knots (Nyström 1928). Categories:
        one-hot. Inactive parameters: zeros. The squares of a point sum to about 1.
        """
        columns: list[Floats] = []
        for column, levels in enumerate(self.levels):
            values = points[:, column, None]
            if self.unordered[column]:
                columns.append((values == levels).astype(float))
            else:
                correlation, _ = matern(((values - KNOTS) / SMOOTH) ** 2)
                columns.append(np.where(np.isnan(values), 0.0, correlation @ WHITEN))
        return np.concatenate(columns, axis=1) / np.sqrt(len(self.levels))

    def complete(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Draw the inactive parameters of points (N, D)."""
        return np.where(np.isnan(points), self.random(len(points), rng), points)

    def decode(self, point: Floats) -> dict[str, Any]:
        """Return the configuration at a point (D,)."""
        return {
            name: self._value(column, distribution, float(point[column]))
            for column, (name, distribution) in enumerate(self.space.items())
        }

    def _value(self, column: int, distribution: BaseDistribution, position: float) -> Any:
        if not isinstance(distribution, CategoricalDistribution):
            return from_unit(distribution, position)
        if self.unordered[column]:
            return distribution.choices[int(position)]
        count = len(distribution.choices)
        return _ranked(distribution)[min(int(position * count), count - 1)]

    def random(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw `count` points uniformly."""
        points = rng.random((count, len(self.names)))
        for column, levels in enumerate(self.levels):
            if len(levels):
                points[:, column] = rng.choice(levels, count)
        return points

    def perturb(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Change a few parameters of each point (N, D): one to three of them on average."""
        count, columns = points.shape
        change = rng.random((count, columns)) < rng.integers(1, 4, (count, 1)) / columns
        reach = 10.0 ** rng.uniform(-2, -0.5, (count, 1))
        moved = np.clip(points + reach * rng.standard_normal(points.shape), 0.0, 1.0)
        for column, levels in enumerate(self.levels):
            if len(levels):
                moved[:, column] = rng.choice(levels, count)
        return np.where(change, moved, points)


def _is_unordered(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, CategoricalDistribution) and not all(
        isinstance(choice, (int, float)) and not isinstance(choice, bool)
        for choice in distribution.choices
    )


def _ranked(distribution: CategoricalDistribution) -> list[Any]:
    choices: list[Any] = list(distribution.choices)
    return sorted(choices)


def _levels(distribution: BaseDistribution) -> Floats:
    if isinstance(distribution, CategoricalDistribution):
        ranks = np.arange(len(distribution.choices), dtype=float)
        return ranks if _is_unordered(distribution) else (ranks + 0.5) / len(ranks)
    count = value_count(distribution)
    if count is None or count > MANY:
        return np.array([])
    values = tuple(grid_values(distribution))
    if isinstance(distribution, IntDistribution):
        values = tuple(range(distribution.low, distribution.high + 1, distribution.step))
    return np.array([to_unit(distribution, value) for value in values])
