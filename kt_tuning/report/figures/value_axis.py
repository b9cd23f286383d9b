"""Values of one hyperparameter as positions on an axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kt_tuning.report.figures.style import spans_decades
from kt_tuning.report.formatting import shorten, value_text
from kt_tuning.report.run_summary import FloatArray

LABEL_LENGTH = 10
MOST_CATEGORIES, MOST_NUMBERS = 8, 4
"""Values that are all ticks of an axis from 0 to 1; else no category is, and three numbers are."""


@dataclasses.dataclass(frozen=True)
class ValueAxis:
    """Numbers at their value and everything else by category.

    Attributes:
        positions: (n,) each value, or the index of its category; not-a-number where it is missing.
        categories: Names of the categories by index, sorted; empty for numbers.
        log: Whether the numbers need a logarithmic axis.
    """

    positions: FloatArray
    categories: tuple[str, ...] = ()
    log: bool = False

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Place `values`, of which some may be None."""
        present = [value for value in values if value is not None]
        if all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in present
        ):
            numbers = np.array([np.nan if value is None else float(value) for value in values])
            return cls(numbers, log=spans_decades(numbers))
        names = sorted({value_text(value) for value in present})
        index = {name: float(position) for position, name in enumerate(names)}
        places = [np.nan if value is None else index[value_text(value)] for value in values]
        return cls(np.array(places), tuple(names))

    @property
    def distinct(self) -> FloatArray:
        """Positions without repetitions, sorted."""
        return np.unique(self.positions[np.isfinite(self.positions)])

    def unit(self, positions: FloatArray) -> FloatArray:
        """Return `positions` scaled to 0..1, by their logarithm where the axis is logarithmic."""
        known = np.log(self.distinct) if self.log else self.distinct
        scaled = np.log(positions) if self.log else positions
        span = known[-1] - known[0]
        return (scaled - known[0]) / span if span > 0 else scaled - known[0] + 0.5

    def label(self, position: float) -> str:
        """Return the text of a tick."""
        if self.categories:
            return shorten(self.categories[int(position)], LABEL_LENGTH)
        return f"{position:.6g}"

    def unit_ticks(self) -> list[tuple[float, str]]:
        """Return (place in 0..1, label) of the ticks of an axis from 0 to 1."""
        shown = self.distinct
        if self.categories:
            shown = shown if len(shown) <= MOST_CATEGORIES else shown[:0]
            labels = [self.label(position) for position in shown]
        else:
            if len(shown) > MOST_NUMBERS:
                low, high = shown[0], shown[-1]
                middle = np.sqrt(low * high) if self.log else (low + high) / 2
                shown = np.array([low, middle, high])
            labels = [f"{value:.3g}" for value in shown]
        return list(zip(self.unit(shown).tolist(), labels, strict=True))
