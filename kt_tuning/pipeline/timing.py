"""How the time limit of a run is divided between its search and what comes after it."""

from __future__ import annotations

import dataclasses
import time

from kt_tuning.data import ImageData

FINISHING, A_TEST_IMAGE = 20.0, 0.01
"""Seconds that combining, evaluating, exporting and reporting take, and those of each test image:
of EfficientNet-Lite0 on two processor cores."""
REFIT_SHARE, REFIT_FROM = 0.35, 120.0
"""Share of what is left that is kept for training the winner again, and the limit in seconds from
which it is: probes are solved for again in no time."""
LEAST = 0.35
"""Share of the limit that the search has in any case."""


@dataclasses.dataclass(frozen=True)
class RunTime:
    """The wall-clock of a run.

    Attributes:
        began: Value of `time.monotonic()` when it began, reading the images included.
        limit: Seconds that it may take, or None.
        finishing: Seconds that what comes after the search takes, but for a refit.
    """

    began: float
    limit: float | None
    finishing: float

    @classmethod
    def of(cls, began: float, limit: float | None, data: ImageData) -> RunTime:
        """The wall-clock of a run on some images."""
        return cls(began, limit, FINISHING + A_TEST_IMAGE * len(data.test))

    def for_search(self) -> float | None:
        """Seconds that a search which begins now may take, or None."""
        if self.limit is None:
            return None
        left = self.began + self.limit - self.finishing - time.monotonic()
        if self.limit >= REFIT_FROM:
            left *= 1 - REFIT_SHARE
        return max(left, LEAST * self.limit)

    def for_refit(self) -> float | None:
        """Seconds that a refit which begins now may take, or None."""
        if self.limit is None:
            return None
        return max(0.0, self.began + self.limit - self.finishing - time.monotonic())
