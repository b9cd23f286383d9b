"""Comparison of the probabilities of an exported model with those of the trained one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError

ROUNDING = 1e-4
"""Largest difference of a probability in float32, between runtimes that add in other orders. Of a
linear probe on photos, LiteRT's and ONNX Runtime's are off by up to 6.5e-5."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """Largest allowed difference between an exported and the trained model.

    Attributes:
        difference: Of a probability, at most.
        agreement: Share of the images with the same label, at least, 0 to 1. If it is below 1, one
            image may always have another label, however few there are.
    """

    difference: float
    agreement: float


FLOAT32 = Tolerance(difference=ROUNDING, agreement=1.0)


@dataclasses.dataclass(frozen=True)
class NumericalCheck:
    """Difference between an exported and the trained model.

    Attributes:
        images: Number of images compared.
        difference: Largest difference of a probability.
        agreement: Share of the images with the same label, 0 to 1. Classes whose probabilities
            differ by less than two roundings count as one: which of them comes first is chance.
    """

    images: int
    difference: float
    agreement: float


def compare(exported: NDArray[np.float32], trained: NDArray[np.float32]) -> NumericalCheck:
    """Compare probabilities, (N, classes) each, of the exported and of the trained model."""
    chosen = np.take_along_axis(trained, exported.argmax(axis=1)[:, None], axis=1)[:, 0]
    return NumericalCheck(
        images=len(trained),
        difference=float(np.abs(exported - trained).max()),
        agreement=float((trained.max(axis=1) - chosen <= 2 * ROUNDING).mean()),
    )


def check_tolerance(check: NumericalCheck, tolerance: Tolerance, name: str) -> None:
    """Refuse an exported model that differs from the trained one.

    Args:
        check: The differences that were measured.
        tolerance: The differences that are allowed.
        name: Of the export, for the message.

    Raises:
        ExportError: if a difference is not allowed.
    """
    others = (1 - check.agreement) * check.images
    # One of fewer than a hundred images is more than a hundredth.
    allowed = math.ceil(round((1 - tolerance.agreement) * check.images, 6))
    # Written so that a difference of NaN fails.
    if check.difference <= tolerance.difference and round(others) <= allowed:
        return
    advice = (
        "Is there a layer that draws random numbers when it predicts?"
        if tolerance == FLOAT32
        else "Give it more examples, or export another format."
    )
    raise ExportError(
        f"The exported model ({name}) is not the trained one: on {check.images} images a "
        f"probability differs by up to {check.difference:.2g}, and {check.agreement:.2%} of the "
        f"labels agree. Expected: at most {tolerance.difference:g}, and at least "
        f"{tolerance.agreement:.0%}. {advice}"
    )
