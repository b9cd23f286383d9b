"""Multinomial logistic regression with an L2 penalty, which cross-validation chooses each time.

The loss is that of scikit-learn's `LogisticRegression`, divided by the number of rows n:

    Σᵢ wᵢ −log softmax(xᵢ·W + b)[yᵢ] + penalty/2 · ‖W‖²,   Σᵢ wᵢ = 1,   penalty = 1 / (C·n)

It is minimised by SciPy's L-BFGS in coordinates in which the features are uncorrelated and scaled
by an estimate of the curvature, so that few iterations are enough whatever the penalty. The
solution for one penalty starts from that for the penalty before.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hypermodels.frozen import Features

Floats = NDArray[np.floating[Any]]

PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(4, -11, -1))
"""From strong to weak, half a decade apart, for standardised features."""
SMALL = 1e-7
"""Share of the greatest eigenvalue below which a direction of the features is left out."""
GRADIENT = 1e-5
"""Greatest entry of the scaled gradient at a solution."""
PRECISE, ROUGH = 1e-8, 1e-6
"""Relative decreases of the loss at which a solution is final, and is good enough to compare
penalties: held-out losses then differ by less than 0.001, and it takes half of the time."""
ITERATIONS = 200
FOLDS = 5
MANY_ROWS = 2000
"""Rows from which a single held-out part is enough to choose the penalty."""
WORSE = 2
"""Penalties in a row with a greater held-out loss after which weaker ones are not tried."""


class LogisticPath:
    """Logistic regressions on the same rows, for one penalty after the other.

    Args:
        features: float (n, d); centred and scaled alike, see `standardize`.
        labels: (n,) integers, 0 to classes - 1.
        classes: Number of classes.
        weights: (n,) how much each row counts, above 0; None: all alike.
        tolerance: Relative decrease of the loss below which a solution is good enough.
    """

    def __init__(
        self,
        features: Floats,
        labels: NDArray[np.integer[Any]],
        classes: int,
        weights: Floats | None = None,
        *,
        tolerance: float = PRECISE,
    ) -> None:
        self._tolerance = tolerance
        weights = np.ones(len(labels)) if weights is None else weights
        self._shares = (weights / weights.sum()).astype(np.float32)
        self._targets = np.eye(classes, dtype=np.float32)[labels]
        self._rotated, self._back, self._scales = _uncorrelated(features.astype(np.float32))
        self._kernel = np.zeros((len(self._scales), classes), np.float32)
        self._last = math.inf
        frequency = self._shares @ self._targets + 1 / len(labels)
        self._bias = np.log(frequency / frequency.sum()).astype(np.float32)

    def fit(self, penalty: float) -> tuple[Floats, Floats]:
        """Find the weights for a penalty, above 0.

        Returns:
            The kernel W (d, classes) and the bias b (classes,), float32.
        """
        self._solve(penalty)
        return self._back @ self._kernel, self._bias

    def logits_for(self, penalties: Sequence[float], others: Floats) -> Iterator[Floats]:
        """Predict other rows with the weights for each of several penalties.

        Args:
            penalties: From strong to weak.
            others: float (m, d), centred and scaled like the rows of the path.

        Yields:
            Logits (m, classes), a penalty at a time.
        """
        others = others.astype(np.float32) @ self._back
        for penalty in penalties:
            kernel, bias = self._solve(penalty)
            yield others @ kernel + bias

    def _solve(self, penalty: float) -> tuple[Floats, Floats]:
        """Kernel (r, classes) in the uncorrelated coordinates, and bias.

        Stronger penalties are solved for before, a decade apart: the curvature that scales the
        coordinates is that of the start.
        """
        for stronger in PENALTIES[::2]:
            if penalty < stronger < self._last:
                self._minimize(stronger)
        return self._minimize(penalty)

    def _minimize(self, penalty: float) -> tuple[Floats, Floats]:
        """What `_solve` returns, from the solution that was found last."""
        from scipy.optimize import minimize
        from scipy.special import softmax

        kernel, bias = self._kernel, self._bias
        size = kernel.size
        # p(1 - p), about the curvature of the loss in a logit.
        certain = softmax(self._rotated @ kernel + bias, axis=1)
        curvature = max(1e-3, float((certain * (1 - certain)).mean()))
        inverse = np.sqrt(curvature * self._scales / len(self._targets) + penalty)
        scale = (1 / inverse).astype(np.float32)[:, None]
        scaled = self._rotated * scale.T
        shrink = penalty * scale * scale

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = parameters[:size].reshape(kernel.shape).astype(np.float32)
            logits = scaled @ weights + parameters[size:].astype(np.float32)
            logits -= logits.max(1, keepdims=True)
            right = (logits * self._targets).sum(1)
            exponentials = np.exp(logits)
            sums = exponentials.sum(1, keepdims=True)
            value = float(np.dot(self._shares, np.log(sums[:, 0]) - right))
            errors = (exponentials / sums - self._targets) * self._shares[:, None]
            shrunk = shrink * weights
            value += 0.5 * float(np.vdot(weights, shrunk))
            gradient = [(scaled.T @ errors + shrunk).ravel(), errors.sum(0)]
            return value, np.concatenate(gradient).astype(np.float64)

        start = np.concatenate([(kernel / scale).ravel(), bias]).astype(np.float64)
        options = {"maxiter": ITERATIONS, "gtol": GRADIENT, "ftol": self._tolerance}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        self._kernel = found.x[:size].reshape(kernel.shape).astype(np.float32) * scale
        self._bias = found.x[size:].astype(np.float32)
        self._last = penalty
        return self._kernel, self._bias


def _uncorrelated(features: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows in uncorrelated coordinates (n, r), the way back (d, r), and their sums of squares."""
    rows, width = features.shape
    wide = rows < width
    products = features @ features.T if wide else features.T @ features
    squares, vectors = np.linalg.eigh(products.astype(np.float64))
    kept = squares > SMALL * max(squares[-1], 1e-12)
    squares, vectors = squares[kept], vectors[:, kept].astype(np.float32)
    lengths = np.sqrt(squares).astype(np.float32)
    if wide:
        return vectors * lengths, features.T @ (vectors / lengths), squares
    return features @ vectors, vectors, squares


def log_losses(logits: Floats, labels: NDArray[np.integer[Any]]) -> Floats:
    """Return the log-loss of each row, in nats.

    Args:
        logits: float (n, classes).
        labels: (n,) integers, 0 to classes - 1.
    """
    from scipy.special import logsumexp

    return logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]


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

    def path(part: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Iterator[Floats]:
        rows, rest = part
        found = LogisticPath(features[rows], labels[rows], classes, weights[rows], tolerance=ROUGH)
        return found.logits_for(PENALTIES, features[rest])

    def next_losses(logits: Iterator[Floats], part: tuple[Any, NDArray[np.int64]]) -> Floats:
        return log_losses(next(logits), labels[part[1]])

    losses: list[float] = []
    with ThreadPoolExecutor(min(len(parts), _threads())) as pool:
        paths = list(pool.map(path, parts))
        while len(losses) < len(PENALTIES):
            found = np.concatenate(list(pool.map(next_losses, paths, parts)))
            losses.append(float(np.average(found, weights=held_out)))
            if len(losses) > WORSE and min(losses[-WORSE:]) > min(losses) == min(losses[:-WORSE]):
                break
    tried = PENALTIES[: len(losses)]
    return PenaltyChoice(_minimum(tried, losses), tried, tuple(losses))


def _threads() -> int:
    """Return how many threads this process may use: all processors if nothing limits them."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else os.cpu_count() or 1


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
