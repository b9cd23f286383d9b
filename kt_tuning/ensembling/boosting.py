"""Boosting for many classes, SAMME: each member learns most from what those before it got wrong.

Source: Zhu, Zou, Rosset and Hastie (2009), "Multi-class AdaBoost", algorithm 2.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# A vote that is above 0 by less is one of guessing, but for the order of a sum.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class BoostingRound:
    """The result of a round of boosting.

    Attributes:
        error: Share of the weight that the member gets wrong, 0 to 1.
        vote: Weight of the member, if it is `useful`.
        weights: (N,) of the training images in the next round, summing to 1.
    """

    error: float
    vote: float
    weights: Floats

    @property
    def useful(self) -> bool:
        """Whether the member is better than guessing: its vote is above 0."""
        return self.vote > _ROUNDING

    @property
    def last(self) -> bool:
        """Whether there is nothing to learn from in a next round."""
        return self.error == 0 or not self.useful


def boosting_round(weights: Floats, wrong: NDArray[np.bool_], classes: int) -> BoostingRound:
    """Judge a member, and weigh the images for the next one.

    With e the weight of the images that it gets wrong, the vote is ln((1 - e) / e) + ln(C - 1), and
    the weight of each of these images is multiplied by exp(vote). A member without an error counts
    as one that gets half an image wrong: its vote would be infinite.

    Args:
        weights: (N,) of the training images; they need not sum to 1.
        wrong: (N,) whether the member gets each wrong.
        classes: C, at least 2.
    """
    shares = weights / weights.sum()
    error = float(shares @ wrong)
    half = 0.5 / len(shares)
    bounded = min(max(error, half), 1 - half)
    vote = math.log((1 - bounded) / bounded) + math.log(classes - 1)
    raised = np.where(wrong, shares * math.exp(vote), shares)
    return BoostingRound(error, vote, raised / raised.sum())
