"""The worst mistakes: where a model was sure and wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation.row_metrics import log_losses


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One image that was classified wrong.

    Attributes:
        index: Its place in the split.
        label: What it is.
        predicted: What it was taken for.
        confidence: Probability of that, 0 to 1.
        loss: -log of the probability of the truth, in nats.
    """

    index: int
    label: int
    predicted: int
    confidence: float
    loss: float


def worst_mistakes(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    count: int = 16,
) -> tuple[Mistake, ...]:
    """Return the wrongly classified images of highest log-loss, the worst first.

    A mislabelled image is often among them.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
        count: Mistakes, at most.
    """
    predicted = probabilities.argmax(axis=1)
    losses = log_losses(labels, probabilities)
    wrong = np.flatnonzero(predicted != labels)
    # Of equal losses the more confident mistake is the worse one.
    order = np.lexsort((-probabilities[wrong, predicted[wrong]], -losses[wrong]))
    return tuple(
        Mistake(
            index=int(index),
            label=int(labels[index]),
            predicted=int(predicted[index]),
            confidence=float(probabilities[index, predicted[index]]),
            loss=float(losses[index]),
        )
        for index in wrong[order[:count]]
    )
