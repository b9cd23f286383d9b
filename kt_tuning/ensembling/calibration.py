"""Calibration: temperatures that make probabilities agree with observed frequencies.

A network trained with label smoothing is underconfident, one trained for long overconfident. One
number per member, its temperature, corrects that without changing the predicted classes, and makes
the members' weights comparable. The average of calibrated members is underconfident again (Ranjan
and Gneiting 2010, "Combining probability forecasts"), so the whole is calibrated, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

SMALLEST_PROBABILITY = 1e-30
"""Keeps the logarithm finite, in float32, too."""
LOWEST, HIGHEST = 0.05, 20.0


@dataclasses.dataclass(frozen=True)
class Calibration(Record):
    """softmax(scales * log p + shifts): the probabilities that other logits would have given.

    Attributes:
        scales: (1,) or (C,), 0 or more. One number is 1 / temperature.
        shifts: (1,) or (C,), added to the logits; they change what is predicted.
    """

    scales: tuple[float, ...] = (1.0,)
    shifts: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name in ("scales", "shifts"):
            numbers = tuple(map(float, getattr(self, name)))
            if (
                not numbers
                or not np.isfinite(numbers).all()
                or (name == "scales" and min(numbers) < 0)
            ):
                raise OptionError(
                    f"A calibration's {name} should be finite numbers, scales not below 0. "
                    f"Received: {numbers}."
                )
            object.__setattr__(self, name, numbers)

    @property
    def neutral(self) -> bool:
        """Whether it leaves probabilities as they are."""
        return set(self.scales) == {1.0} and set(self.shifts) == {0.0}

    def apply(self, probabilities: Floats) -> Floats:
        """Calibrate probabilities (N, C)."""
        if self.neutral:
            return probabilities
        return softmax(logarithm(probabilities) * self.scales + self.shifts)


NEUTRAL = Calibration()


def logarithm(probabilities: Floats) -> Floats:
    """Return log(p) in float64, finite where p is 0."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY))


def softmax(logits: Floats) -> Floats:
    """Return probabilities of logits (N, C)."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def temper(probabilities: Floats, temperature: float) -> Floats:
    """Return softmax(log(p) / T), float64: the probabilities (N, C) that logits / T would give."""
    if temperature == 1:
        return np.asarray(probabilities, dtype=np.float64)
    return softmax(logarithm(probabilities) / temperature)


def fit_temperature(probabilities: Floats, labels: Integers) -> float:
    """Return the temperature of least log-loss, between 0.05 and 20.

    Minimises mean log-loss + (1/T - 1)^2 / (2 N), which is convex in 1/T, by the root of its slope.
    The ridge hardly counts on hundreds of rows; on a dozen, all predicted right, it keeps the model
    from being sure of everything.

    Args:
        probabilities: (N, C), of a model that was not trained on these rows.
        labels: (N,) integers in 0..C-1.

    Source: Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks",
    section 4.2.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import brentq

    logs = logarithm(probabilities)
    logs -= logs.max(axis=1, keepdims=True)
    of_truth = float(logs[np.arange(len(labels)), labels].mean())

    def slope(inverse: float) -> float:
        raised = np.exp(inverse * logs)
        means = np.einsum("nc,nc->n", raised, logs) / raised.sum(axis=1)
        return float(means.mean()) - of_truth + (inverse - 1) / len(labels)

    if slope(1 / HIGHEST) >= 0:
        return HIGHEST
    return LOWEST if slope(1 / LOWEST) <= 0 else 1 / float(brentq(slope, 1 / HIGHEST, 1 / LOWEST))


def cross_entropy(logits: Floats, labels: Integers) -> tuple[float, Floats]:
    """Return the mean log-loss of logits (N, C) in nats, and softmax(logits) - truth (N, C)."""
    picked = np.arange(len(labels)), labels
    shifted = logits - logits.max(axis=1, keepdims=True)
    raised = np.exp(shifted)
    totals = raised.sum(axis=1)
    value = float((np.log(totals) - shifted[picked]).mean())
    raised /= totals[:, None]
    raised[picked] -= 1.0
    return value, raised


CALIBRATIONS: dict[str, Callable[[Floats, Integers], Calibration]] = {
    "none": lambda probabilities, labels: NEUTRAL,
    "temperature": lambda probabilities, labels: Calibration(
        scales=(1 / fit_temperature(probabilities, labels),)
    ),
}
"""Calibrations of a whole ensemble: (probabilities (N, C), labels (N,)) -> calibration."""
