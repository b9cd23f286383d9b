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
        low: Lower end of the interval, not above `value`.
        high: Upper end of the interval, not below `value`.
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
        return f"{self.value:7.4f}  {self.low:.4f} to {self.high:.4f}"

    @classmethod
    def of(cls, content: Self | dict[str, Any]) -> Self:
        """Return an interval as it is, and make one of what JSON gave back."""
        return cls(**content) if isinstance(content, dict) else content
