"""Generalization: scores on several splits with the gaps between them; bias and variance."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.intervals import Interval, bootstrap_intervals, difference_interval
from kt_tuning.evaluation.metrics import DEFAULT_METRICS, Metric, check_labels, find_metric
from kt_tuning.evaluation.predict import Predicted, Split
from kt_tuning.evaluation.test_uses import note_use_of

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True)
class Generalization(Record):
    """One model's scores on several splits, and the gaps from one to the next.

    Attributes:
        scores: Split -> metric -> value with its 95% interval.
        gaps: "train to validation" -> metric -> by how much the second split is worse, with its
            95% interval; below 0 if it is better.
        images: Split -> number of images that were measured; empty in older records.
        available: Split -> number of images that it has; empty in older records.
    """

    scores: dict[str, dict[str, Interval]]
    gaps: dict[str, dict[str, Interval]]
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    available: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def sample(self) -> str:
        """Such as "train on 500 of 5,000 images"; empty if every split was measured as a whole."""
        return ", ".join(
            f"{split} on {self.images[split]:,} of {available:,} images"
            for split, available in self.available.items()
            if self.images[split] < available
        )

    def __str__(self) -> str:
        lines = [
            f"{row:<22} {metric:<17} {cell}"
            for table in (self.scores, self.gaps)
            for row, cells in table.items()
            for metric, cell in cells.items()
        ]
        return "\n".join([*lines, self.sample] if self.sample else lines)


def generalization(
    model: Any,
    splits: Mapping[str, Split | Predicted],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Generalization:
    """Measure a model on several splits, and the gaps between neighbouring ones.

    The gap from train to validation shows overfitting to the training images; that from validation
    to test shows how far the search has fitted the validation images.

    Args:
        model: See `evaluate`.
        splits: Name -> images, in the order of use: {"train": …, "validation": …, "test": …}; or
            predictions of them.
        metrics: Rows of `METRICS`.
        bootstrap: Resamples behind an interval, at least 1; splits are resampled independently.
        seed: Seed of the resamples.

    Raises:
        DataError: if a split is empty, or what the model returns is not one distribution per image.
        OptionError: on an unknown metric, or a model that cannot be called.
    """
    rows = [find_metric(name) for name in metrics]
    for split in splits.values():
        note_use_of(split, model, by="generalization")
    rng = np.random.default_rng(seed)
    scores: dict[str, dict[str, Interval]] = {}
    images: dict[str, int] = {}
    for name, split in splits.items():
        predicted = split if isinstance(split, Predicted) else Predicted.by(model, split)
        labels, probabilities = predicted.labels, predicted.probabilities
        check_labels(labels, probabilities)
        images[name] = len(labels)
        scores[name] = bootstrap_intervals(
            labels, probabilities, resamples=bootstrap, rng=rng, names=tuple(metrics)
        )
    return Generalization(
        scores=scores,
        gaps={
            f"{first} to {second}": {
                row.name: _gap(row, scores[first][row.name], scores[second][row.name])
                for row in rows
            }
            for first, second in itertools.pairwise(splits)
        },
        images=images,
        available=dict(images),
    )


def _gap(metric: Metric, before: Interval, after: Interval) -> Interval:
    pair = (before, after) if metric.direction == "max" else (after, before)
    return difference_interval(*pair, limit=metric.largest)


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """An expected loss, split in two.

    Attributes:
        total: Mean loss of one training.
        bias: Loss of all trainings' central prediction, noise of the labels included.
        variance: Loss of one training from differing from it: `total - bias`. Below 0 for the
            error rate where most trainings are wrong.
    """

    total: float
    bias: float
    variance: float


def bias_variance(predictions: ArrayLike, labels: ArrayLike) -> dict[str, Decomposition]:
    """Split the loss of a configuration into bias, and variance that averaging could remove.

    The central prediction is, for each loss, the one that makes the split exact: the mean of the
    probabilities for "brier", their normalised geometric mean for "log_loss" (Heskes 1998), and
    the most frequent class for "error" (Domingos 2000), the smallest label of equals.

    Args:
        predictions: (E, N, C) probabilities of E trainings of one configuration, from different
            initial weights or folds of the data, on the same N rows; E at least 2.
        labels: (N,) integers in 0..C-1.

    Returns:
        "error", "brier" and "log_loss" -> its decomposition.

    Raises:
        DataError: if the shapes do not match, or there is only one training.
    """
    members, truth = np.asarray(predictions, dtype=np.float64), np.asarray(labels)
    if members.ndim != 3 or len(members) < 2:
        raise DataError(
            "Expected predictions (E, N, C) of two or more trainings on the same rows. "
            f"Received: {members.shape}."
        )
    check_labels(truth, members[0])
    votes = np.eye(members.shape[2])[members.argmax(axis=2)].sum(axis=0)
    logs = np.log(np.clip(members, 1e-30, None)).mean(axis=0)
    geometric = np.exp(logs - logs.max(axis=1, keepdims=True))
    central = {
        "error": ("accuracy", votes / len(members)),
        "brier": ("brier", members.mean(axis=0)),
        "log_loss": ("log_loss", geometric / geometric.sum(axis=1, keepdims=True)),
    }
    found = {}
    for name, (metric, prediction) in central.items():
        measure = find_metric(metric).function
        total = float(np.mean([measure(truth, member) for member in members]))
        bias = measure(truth, prediction)
        if name == "error":
            total, bias = 1.0 - total, 1.0 - bias
        found[name] = Decomposition(total, bias, total - bias)
    return found
