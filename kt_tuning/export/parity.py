"""Does the exported model do what the trained one does?"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError

ROUNDING = 1e-5
"""How far a probability may be off in float32: some hundred roundings."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far an exported model may be off.

    Attributes:
        difference: Of a probability, at most.
        agreement: Share of the images that are given the same label, at least; of few images, one
            may always be given another if this is not 1.
    """

    difference: float
    agreement: float


FLOAT32 = Tolerance(difference=ROUNDING, agreement=1.0)


@dataclasses.dataclass(frozen=True)
class Parity:
    """By how much an exported model is off.

    Attributes:
        images: Images compared.
        difference: Largest difference of a probability.
        agreement: Share of the images that are given the same label. Classes whose probabilities
            differ by less than two roundings count as one: which of them comes first is chance.
    """

    images: int
    difference: float
    agreement: float


def measure_parity(served: NDArray[np.float32], expected: NDArray[np.float32]) -> Parity:
    """Compare probabilities.

    Args:
        served: (N, classes), of the exported model.
        expected: (N, classes), of the trained one.
    """
    chosen = np.take_along_axis(expected, served.argmax(axis=1)[:, None], axis=1)[:, 0]
    return Parity(
        images=len(expected),
        difference=float(np.abs(served - expected).max()),
        agreement=float((expected.max(axis=1) - chosen <= 2 * ROUNDING).mean()),
    )


def check_parity(parity: Parity, tolerance: Tolerance, name: str) -> None:
    """Refuse an exported model that is not the trained one.

    Args:
        parity: What was measured.
        tolerance: What is allowed.
        name: Of the export, for the message.

    Raises:
        ExportError: if it is further off than that.
    """
    others = (1 - parity.agreement) * parity.images
    # Of fewer than a hundred images, one is more than a hundredth.
    allowed = math.ceil(round((1 - tolerance.agreement) * parity.images, 6))
    # Written so that a difference of NaN fails.
    if parity.difference <= tolerance.difference and round(others) <= allowed:
        return
    advice = (
        "Is there a layer that draws random numbers when it predicts?"
        if tolerance == FLOAT32
        else "Give it more examples, or export another format."
    )
    raise ExportError(
        f"The exported model ({name}) is not the trained one: on {parity.images} images a "
        f"probability is off by up to {parity.difference:.2g}, and {parity.agreement:.2%} of the "
        f"labels agree. Expected: at most {tolerance.difference:g}, and at least "
        f"{tolerance.agreement:.0%}. {advice}"
    )
