"""A linear classifier on features, with a penalty chosen by cross-validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hypermodels.frozen import Features
from hypermodels.logistic_regression import PENALTIES, Floats, LogisticPath, log_losses

FOLDS = 5
MANY_ROWS = 2000
"""Rows from which a single held-out part is enough to choose the penalty."""
WORSE = 2
"""Penalties in a row with a greater held-out loss after which weaker ones are not tried."""


def fit_classifier(
    features: Features, classes: int, penalty: float | None = None
) -> tuple[Floats, Floats]:
    """Fit a logistic regression on features, which are standardised for it.

    Args:
        features: Of the training images.
        classes: Their number, at least 2.
        penalty: As for `LogisticPath.fit`; None: chosen by `choose_penalty`.

    Returns:
        Kernel (d, classes) and bias (classes,) for features that are not standardised.
    """
    # Products of narrow matrices gain nothing from threads, which wait for those of Keras.
    with threadpool_limits(1, user_api="blas"):
        values, means, deviations = standardize(features.values)
        rows = values, features.labels, classes, features.weights
        if penalty is None:
            penalty = choose_penalty(*rows).penalty
        kernel, bias = LogisticPath(*rows).fit(penalty)
        kernel = kernel / deviations[:, None]
        return kernel, bias - means @ kernel


@dataclasses.dataclass(frozen=True)
class PenaltyChoice:
    """The penalty of least held-out log-loss.

    Attributes:
        penalty: That one.
        penalties: Those that were tried, from strong to weak.
        losses: Their mean held-out log-losses, in nats.
    """

    penalty: float
    penalties: tuple[float, ...]
    losses: tuple[float, ...]


def choose_penalty(
    features: Floats,
    labels: NDArray[np.integer[Any]],
    classes: int,
    weights: Floats | None = None,
    *,
    seed: int = 0,
) -> PenaltyChoice:
    """Choose a penalty by cross-validation.

    The log-loss is a smooth function of the logarithm of the penalty: its minimum is read off a
    cubic spline through the losses at `PENALTIES`, which are tried until the losses rise.

    Args:
        features: float (n, d), centred and scaled alike.
        labels: (n,) integers, 0 to classes - 1.
        classes: Number of classes.
        weights: (n,) how much each row counts, above 0; None: all alike.
        seed: Of the folds.
    """
    parts = list(folds(labels, seed))
    weights = np.ones(len(labels)) if weights is None else weights
    held_out = np.concatenate([weights[rest] for _, rest in parts])
    paths = [
        LogisticPath(features[rows], labels[rows], classes, weights[rows]).logits_for(
            PENALTIES, features[rest]
        )
        for rows, rest in parts
    ]
    losses: list[float] = []
    for logits in zip(*paths, strict=True):
        found = [
            log_losses(one, labels[rest]) for one, (_, rest) in zip(logits, parts, strict=True)
        ]
        losses.append(float(np.average(np.concatenate(found), weights=held_out)))
        if len(losses) > WORSE and min(losses[-WORSE:]) > min(losses) == min(losses[:-WORSE]):
            break
    tried = PENALTIES[: len(losses)]
    return PenaltyChoice(_minimum(tried, losses), tried, tuple(losses))


def standardize(features: Floats) -> tuple[Floats, Floats, Floats]:
    """Centre features and divide them by their standard deviations.

    Args:
        features: float (n, d).

    Returns:
        The standardised features, the means (d,) and the deviations (d,); those of constant
        features are 1.
    """
    means, deviations = features.mean(0), features.std(0)
    deviations = np.where(deviations > 1e-6 * max(1e-12, float(deviations.max())), deviations, 1)
    return (features - means) / deviations, means, deviations


def folds(
    labels: NDArray[np.integer[Any]], seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows to fit on and rows that are held out; each class is spread over all folds.

    There are `FOLDS` of them, one alone from `MANY_ROWS` rows on.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    for index in range(1 if len(labels) >= MANY_ROWS else FOLDS):
        yield np.flatnonzero(fold != index), np.flatnonzero(fold == index)


def _minimum(penalties: Sequence[float], losses: Sequence[float]) -> float:
    """Where a spline through the losses is least."""
    from scipy.interpolate import CubicSpline

    if len(losses) < 3:
        return penalties[int(np.argmin(losses))]
    logarithms = -np.log(penalties)
    dense = np.linspace(logarithms[0], logarithms[-1], 1000)
    best = dense[np.argmin(CubicSpline(logarithms, losses)(dense))]
    return float(np.exp(-best))
