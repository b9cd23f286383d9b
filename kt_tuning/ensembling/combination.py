"""How members answer as one: the arithmetic, apart from any model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.ensembling.calibration import (
    Calibration,
    fit_temperature,
    logarithm,
    softmax,
    temper,
)

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

ARITHMETIC = "arithmetic"
GEOMETRIC = "geometric"
POOLS = (ARITHMETIC, GEOMETRIC)


@dataclasses.dataclass(frozen=True)
class Combination(Record):
    """Weights, temperatures, the kind of mean, and the calibration of the whole.

    Attributes:
        weights: (K,) on the simplex: none below 0, summing to 1.
        temperatures: (K,) above 0, by which each member's logits are divided first. All 1 if
            none are given.
        pool: "arithmetic", the weighted mean of the probabilities; or "geometric", the softmax of
            the weighted mean of their logarithms (the logarithmic opinion pool).
        calibrations: Of the pooled probabilities, one after the other.
    """

    weights: tuple[float, ...]
    temperatures: tuple[float, ...] = ()
    pool: str = ARITHMETIC
    calibrations: tuple[Calibration, ...] = ()

    def __post_init__(self) -> None:
        weights = _numbers(self.weights)
        if weights.ndim != 1 or not weights.size:
            raise OptionError(
                f"Expected weights (K,), one a member. Received: shape {weights.shape}."
            )
        # Written so that nan fails it.
        if not (weights.min() >= 0 and abs(weights.sum() - 1.0) <= 1e-6):
            raise OptionError(
                "Weights should be 0 or more and sum to 1: divide them by their sum. "
                f"Received: {weights.tolist()}, summing to {weights.sum():.6g}."
            )
        temperatures = _numbers(self.temperatures) if self.temperatures else np.ones(len(weights))
        if temperatures.shape != weights.shape or not np.all(
            (temperatures > 0) & np.isfinite(temperatures)
        ):
            raise OptionError(
                f"Expected one temperature above 0 for each of the {len(weights)} members. "
                f"Received: {temperatures.tolist()}."
            )
        if self.pool not in POOLS:
            raise OptionError(f"No pool is called {self.pool!r}. Known pools: {', '.join(POOLS)}.")
        object.__setattr__(self, "weights", tuple(weights.tolist()))
        object.__setattr__(self, "temperatures", tuple(temperatures.tolist()))
        calibrations = (Calibration.of(calibration) for calibration in self.calibrations)
        object.__setattr__(self, "calibrations", tuple(calibrations))

    @classmethod
    def average(cls, weights: ArrayLike) -> Self:
        """Return the weighted mean of the members as they are."""
        return cls(tuple(np.asarray(weights, dtype=np.float64).tolist()))

    @property
    def size(self) -> int:
        """How many members count."""
        return sum(weight > 0 for weight in self.weights)

    def kept(self) -> list[int]:
        """Return the positions of the members that count."""
        return [index for index, weight in enumerate(self.weights) if weight > 0]

    def without_idle(self) -> Self:
        """Return the same combination of the members that count alone."""
        kept = self.kept()
        return dataclasses.replace(
            self,
            weights=tuple(self.weights[index] for index in kept),
            temperatures=tuple(self.temperatures[index] for index in kept),
        )

    def predict(self, predictions: Sequence[Floats] | Floats) -> Floats:
        """Combine the members' probabilities.

        Args:
            predictions: (K, N, C).

        Returns:
            (N, C), float64.
        """
        rows = zip(predictions, self.weights, self.temperatures, strict=True)
        if self.pool == GEOMETRIC:
            # Each member's own softmax would divide its row by a number, which the last one undoes.
            logits = sum(
                weight / heat * logarithm(member) for member, weight, heat in rows if weight
            )
            return self._calibrated(softmax(np.asarray(logits)))
        total = sum(
            weight * (np.asarray(member, dtype=np.float64) if heat == 1 else temper(member, heat))
            for member, weight, heat in rows
            if weight
        )
        return self._calibrated(np.asarray(total, dtype=np.float64))

    def _calibrated(self, probabilities: Floats) -> Floats:
        for calibration in self.calibrations:
            probabilities = calibration.apply(probabilities)
        return probabilities


def mean_over_folds(folds: int, sharpening: float) -> Combination:
    """Return how the predictions of all folds' models become one: softmax(s * mean of log p).

    Args:
        folds: How many predictions there are.
        sharpening: s; see `sharpening_of`.
    """
    return Combination(
        (1 / folds,) * folds, pool=GEOMETRIC, calibrations=(Calibration(scales=(sharpening,)),)
    )


def sharpening_of(
    combination: Combination, predictions: Floats, labels: Integers, folds: int
) -> float:
    """Return what the logits of a mean over folds are multiplied by, 1 or more.

    No row is unseen by the models of all folds, so the temperature of their mean cannot be fitted.
    What is fitted, on out-of-fold predictions, is the temperature T of single models. If it makes
    them surer, it is right for their mean as well. If it makes them less sure, T > 1, because their
    errors differ, then averaging k of them does part of that: with independent errors of the
    logits, of variance v, T^2 = 1 + c v, and the mean needs 1 + c v / k. So the logits are
    multiplied by T / sqrt(1 + (T^2 - 1) / k). `benchmarks/fold_calibration.py` measures what that
    brings. Models that are all too sure in the same way remain so in part.

    Args:
        combination: Fitted on the predictions.
        predictions: (K, N, C) out-of-fold probabilities of the members.
        labels: (N,).
        folds: k.

    Returns:
        The factor, where T is the temperature of the combination without its members' temperatures
        and calibration; 1 if T is below 1, or if the combination has neither.

    Sources: MacKay (1992), "The evidence framework applied to classification networks", for logits
    with an error; Rahaman and Thiery (2021), "Uncertainty quantification and deep ensembles": the
    mean of models that were calibrated one by one is not sure enough.
    """
    if set(combination.temperatures) == {1.0} and not combination.calibrations:
        return 1.0
    plain = Combination(combination.weights, pool=combination.pool).predict(predictions)
    temperature = max(1.0, fit_temperature(plain, labels))
    return temperature / math.sqrt(1 + (temperature**2 - 1) / folds)


def _numbers(values: Sequence[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)
