"""A number that is known within limits."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Interval:
    """A measured value and its 95% interval.

    Attributes:
        value: On all images; nan where the metric is undefined.
        low: Lower end of the interval, not above `value`; nan if there is no interval.
        high: Upper end of the interval, not below `value`; nan if there is no interval.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            # JSON knows no nan: records write it as null.
            object.__setattr__(self, name, math.nan if number is None else float(number))

    def __str__(self) -> str:
        return f"{self.value:7.4f}  {self.limits}"

    @property
    def limits(self) -> str:
        """Both ends, or why there are none."""
        if math.isnan(self.value):
            return "n/a (undefined)"
        if math.isnan(self.low) or math.isnan(self.high):
            return "n/a (a class has no images)"
        return f"{self.low:.4f} to {self.high:.4f}"

    @classmethod
    def of(cls, content: Self | dict[str, Any]) -> Self:
        """Return an interval as it is, and make one of what JSON gave back."""
        return cls(**content) if isinstance(content, dict) else content
