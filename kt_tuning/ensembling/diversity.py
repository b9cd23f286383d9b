"""How differently the members err: what an ensemble lives on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.core.json_record import Record
from kt_tuning.ensembling.problem import check_predictions

Floats = NDArray[np.floating[Any]]

Matrix = tuple[tuple[float | None, ...], ...]


@dataclasses.dataclass(frozen=True)
class Diversity(Record):
    """Pairwise measures and the ambiguity decomposition.

    Matrices are (K, K) and symmetric; None stands where a measure is not defined, e.g. for a
    member that is always right.

    Attributes:
        disagreement: Share of rows on which one of two members is right and the other wrong.
        q_statistic: Yule's Q, -1 to 1: 0 for independent members, negative for members that err
            on different rows.
        error_correlation: Correlation of being right, -1 to 1.
        member_error: Weighted mean of the members' squared errors (Brier, 0 to 2).
        ambiguity: Weighted mean of the members' squared distances from their weighted mean.
        ensemble_error: Squared error of that mean: exactly `member_error` - `ambiguity`.
    """

    disagreement: Matrix
    q_statistic: Matrix
    error_correlation: Matrix
    member_error: float
    ambiguity: float
    ensemble_error: float

    def __post_init__(self) -> None:
        for name in ("disagreement", "q_statistic", "error_correlation"):
            object.__setattr__(self, name, tuple(map(tuple, getattr(self, name))))

    def pair_means(self) -> dict[str, float | None]:
        """Return the mean of each measure over the pairs where it is defined; None without one."""
        return {
            name: _pair_mean(getattr(self, name))
            for name in ("disagreement", "q_statistic", "error_correlation")
        }


def measure_diversity(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike) -> Diversity:
    """Measure how differently members err.

    Args:
        predictions: (K, N, C) probabilities.
        labels: (N,) integers in 0..C-1.
        weights: (K,) on the simplex; only the decomposition depends on them.

    Raises:
        DataError: if the shapes do not match or the predictions are not probabilities.

    Sources: Kuncheva and Whitaker (2003), "Measures of diversity in classifier ensembles", section
    2.1; Krogh and Vedelsby (1995), "Neural network ensembles, cross validation, and active
    learning".
    """
    members, truth = check_predictions(predictions, labels)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(members),):
        raise DataError(
            f"Expected one weight for each of the {len(members)} members. "
            f"Received: weights of shape {shares.shape}."
        )
    right = (members.argmax(axis=2) == truth).astype(np.float64)
    wrong = 1.0 - right
    both, neither, one = right @ right.T, wrong @ wrong.T, right @ wrong.T
    other = one.T
    marginal = right.sum(axis=1) * wrong.sum(axis=1)
    odds = both * neither - one * other
    mean = np.tensordot(shares, members.astype(np.float64), axes=1)
    return Diversity(
        disagreement=_matrix(one + other, np.full_like(one, len(truth))),
        q_statistic=_matrix(odds, both * neither + one * other),
        error_correlation=_matrix(odds, np.sqrt(np.outer(marginal, marginal))),
        member_error=float(
            sum(
                share * _squared_error(member, truth)
                for share, member in zip(shares, members, strict=True)
            )
        ),
        ambiguity=float(
            sum(
                share * ((member - mean) ** 2).sum(axis=1).mean()
                for share, member in zip(shares, members, strict=True)
            )
        ),
        ensemble_error=_squared_error(mean, truth),
    )


def _squared_error(probabilities: Floats, labels: NDArray[np.integer[Any]]) -> float:
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1.0
    return float((errors**2).sum(axis=1).mean())


def _matrix(numerator: Floats, denominator: Floats) -> Matrix:
    return tuple(
        tuple(float(a / b) if b > 0 else None for a, b in zip(*rows, strict=True))
        for rows in zip(numerator, denominator, strict=True)
    )


def _pair_mean(matrix: Matrix) -> float | None:
    pairs = [
        value for index, row in enumerate(matrix) for value in row[:index] if value is not None
    ]
    return float(np.mean(pairs)) if pairs else None
