"""Reliability: are models that are 80% sure right 80% of the time?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.metrics import check_labels

Floats = NDArray[np.floating[Any]]

BINS = 15
"""As in Guo et al. (2017)."""


@dataclasses.dataclass(frozen=True)
class Reliability(Record):
    """The data of a reliability diagram: predictions binned by their confidence.

    Attributes:
        low: (B,) lower end of each bin, which it does not include (but 0 it does).
        high: (B,) upper end, which it includes.
        count: (B,) rows in it, 0 in some.
        confidence: (B,) mean probability of the predicted class; 0 in an empty bin.
        accuracy: (B,) share of rows predicted right; 0 in an empty bin.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, tuple(getattr(self, field.name)))

    @property
    def expected_error(self) -> float:
        """Expected calibration error, 0 to 1: the mean of |accuracy - confidence| over the rows."""
        return float(np.average(self._gaps, weights=self.count))

    @property
    def largest_error(self) -> float:
        """Maximum calibration error, 0 to 1: the largest |accuracy - confidence| of a bin."""
        return float(self._gaps.max())

    @property
    def _gaps(self) -> Floats:
        return np.abs(np.subtract(self.accuracy, self.confidence))


def measure_reliability(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS, adaptive: bool = False
) -> Reliability:
    """Bin predictions by confidence.

    Args:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C), rows summing to 1.
        bins: Number of bins, at least 1.
        adaptive: False makes bins of equal width on [0, 1]; True, bins of about equally many
            rows: equal confidences stay together, so that there may be fewer.

    Raises:
        OptionError: if there are fewer than 1 bins.
        DataError: if labels and probabilities do not belong together.

    Sources: Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using
    Bayesian binning"; Guo et al. (2017), "On calibration of modern neural networks"; adaptive
    bins: Nixon et al. (2019), "Measuring calibration in deep learning".
    """
    if bins < 1:
        raise OptionError(f"bins should be 1 or more. Received: {bins}.")
    truth, predictions = np.asarray(labels), np.asarray(probabilities)
    check_labels(truth, predictions)
    confidence = predictions.max(axis=1).astype(np.float64)
    right = (predictions.argmax(axis=1) == truth).astype(np.float64)
    edges = _adaptive_edges(confidence, bins) if adaptive else np.linspace(0.0, 1.0, bins + 1)
    # A float32 softmax may end a hair above 1.
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, len(edges) - 2)
    count = np.bincount(bin_of, minlength=len(edges) - 1)
    present = np.maximum(count, 1)
    means = [
        np.bincount(bin_of, weights=values, minlength=len(count)) / present
        for values in (confidence, right)
    ]
    return Reliability(
        low=tuple(edges[:-1].tolist()),
        high=tuple(edges[1:].tolist()),
        count=tuple(count.tolist()),
        confidence=tuple(means[0].tolist()),
        accuracy=tuple(means[1].tolist()),
    )


def _adaptive_edges(confidence: Floats, bins: int) -> Floats:
    inner = np.quantile(confidence, np.arange(1, bins) / bins, method="lower")
    # Upper ends are included: one at the largest confidence would leave the last bin empty.
    inner = np.unique(inner[inner < confidence.max()])
    return np.concatenate([[0.0], inner, [1.0]])
