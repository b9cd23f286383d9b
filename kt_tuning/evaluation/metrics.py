"""The metrics: one table.

Every metric is written once, for weighted rows: `counts[n, r]` says how often row n counts in
resample r. All ones, it is the plain value; drawn with replacement, it is the bootstrap, for all
resamples at once.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.core.names import find_name
from kt_tuning.evaluation import metric_functions as functions

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
RowMetric = Callable[[Labels, Floats], Floats]
"""(labels (N,), probabilities (N, C)) -> values (N,)."""
CountedMetric = Callable[[Labels, Floats, Floats], Floats]
"""(labels (N,), probabilities (N, C), counts (N, R)) -> values (R,), nan where undefined."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """One row of `METRICS`, with a function of either rows or counts.

    Attributes:
        name: Name in the table; "val_<name>" is the objective.
        direction: "max" if more is better, "min" if less is.
        description: One line with range and unit.
        per_row: For the mean of one number per row: (labels, probabilities) -> (N,).
        of_counts: For any other metric: (labels, probabilities, counts (N, R)) -> (R,).
        fewest_classes: Classes below which it says nothing, such as the top 3 of 3.
        largest: The largest value there is; the smallest is 0.
        failed_row: The loss from a row that fails, as a share of what the row counts: 1, but one
            that is ranked at random loses only half of an area under the ROC.
        every_class: Whether it is comparable only if every class has rows: a class that is
            predicted and has none counts 0.
    """

    name: str
    direction: Literal["max", "min"]
    description: str
    per_row: RowMetric | None = None
    of_counts: CountedMetric | None = None
    fewest_classes: int = 2
    largest: float = 1.0
    failed_row: float = 1.0
    every_class: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is the share of rows for which something holds."""
        return self.per_row is not None and self.largest == 1.0

    def counted(self, labels: Labels, probabilities: Floats, counts: Floats) -> Floats:
        """Return the metric (R,) of rows that count `counts` (N, R) times; nan where undefined."""
        if self.of_counts is not None:
            return self.of_counts(labels, probabilities, counts)
        assert self.per_row is not None
        return self.per_row(labels, probabilities) @ counts / counts.sum(axis=0)

    def function(self, labels: Labels, probabilities: Floats) -> float:
        """Return the metric of labels (N,) and probabilities (N, C); nan where undefined."""
        return float(self.counted(labels, probabilities, np.ones((len(labels), 1)))[0])


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "max", "share of correct predictions, 0 to 1", functions.correct),
        Metric(
            "balanced_accuracy",
            "max",
            "recall averaged over the classes that have images, 0 to 1",
            of_counts=functions.balanced_accuracy,
        ),
        *(
            Metric(
                function.__name__,
                "max",
                f"macro-averaged {title}, 0 to 1",
                of_counts=function,
                every_class=True,
            )
            for title, function in (
                ("precision", functions.precision),
                ("recall", functions.recall),
                ("F1", functions.f1),
            )
        ),
        *(
            Metric(
                f"top_{k}_accuracy",
                "max",
                f"share of images whose class is among the {k} most probable, 0 to 1",
                functools.partial(functions.among_top, k=k),
                fewest_classes=k + 1,
            )
            for k in (3, 5)
        ),
        Metric(
            "roc_auc",
            "max",
            "area under the ROC, macro one-vs-rest, 0 to 1",
            of_counts=functions.roc_auc,
            failed_row=0.5,
        ),
        Metric(
            "pr_auc",
            "max",
            "average precision, macro one-vs-rest, 0 to 1",
            of_counts=functions.pr_auc,
        ),
        Metric(
            "log_loss",
            "min",
            "cross-entropy in nats, 0 to 16.1",
            functions.log_losses,
            largest=-math.log(functions.EPSILON),
        ),
        Metric(
            "brier",
            "min",
            "squared error of the probabilities, 0 to 2",
            functions.squared_errors,
            largest=2.0,
        ),
    )
}

DEFAULT_METRICS = ("accuracy", "log_loss")
"""Metrics that `score` measures by default: cheap enough for every epoch."""


def metrics_for(classes: int) -> tuple[str, ...]:
    """Return the names of the metrics that say something about so many classes."""
    return tuple(name for name, metric in METRICS.items() if classes >= metric.fewest_classes)


def metric_of(objective: str) -> str | None:
    """Return the metric that an objective such as "val_f1" or "val_loss" is, or None."""
    name = "log_loss" if objective == "val_loss" else objective.removeprefix("val_")
    return name if name in METRICS and name != objective else None


def find_metric(name: str) -> Metric:
    """Return a row of `METRICS`.

    Raises:
        OptionError: if there is no such metric.
    """
    return METRICS[find_name(name, METRICS, "metric")]


def score(
    labels: ArrayLike, probabilities: ArrayLike, names: Sequence[str] | None = None
) -> dict[str, float]:
    """Measure predictions.

    A model that diverged must not win a search by a lucky argmax: if any probability is nan or
    infinite, every metric is nan.

    Args:
        labels: (N,) integers in 0..C-1, N at least 1.
        probabilities: (N, C), rows summing to 1 (not checked: it is called every epoch).
        names: Rows of `METRICS`; `DEFAULT_METRICS` if None.

    Returns:
        Name -> value, in the order of `names`; nan where the metric is undefined, e.g. roc_auc
        of rows that all have one label.

    Raises:
        OptionError: on a name that is not in `METRICS`.
        DataError: if the shapes do not match, there are no rows, or a label is out of range.
    """
    chosen = [find_metric(name) for name in (DEFAULT_METRICS if names is None else names)]
    truth, predictions = np.asarray(labels), np.asarray(probabilities)
    check_labels(truth, predictions)
    finite = bool(np.isfinite(predictions).all())
    return {
        metric.name: metric.function(truth, predictions) if finite else float("nan")
        for metric in chosen
    }


def check_labels(labels: Labels, probabilities: Floats) -> None:
    """Refuse labels and probabilities that do not belong together.

    Raises:
        DataError: if they are not (N,) and (N, C) with N > 0 and labels in 0..C-1.
    """
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise DataError(
            "Expected labels (N,) and probabilities (N, C) with the same N. "
            f"Received: labels {labels.shape}, probabilities {probabilities.shape}."
        )
    if len(labels) == 0:
        raise DataError("There is nothing to measure: 0 rows. Give at least one labelled image.")
    if labels.dtype.kind not in "iu":
        raise DataError(f"Labels should be integers from 0. Received: dtype {labels.dtype}.")
    classes = probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"Labels should be in 0..{classes - 1}, as the probabilities have {classes} columns. "
            f"Received: labels in {labels.min()}..{labels.max()}."
        )
