"""Measurements of an export: its size and latency, and how it differs from the trained model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError
from kt_tuning.core.json_record import Record

MEASUREMENT_FILE = "measurement.json"
ROUNDING = 1e-4
"""Largest difference of a probability in float32, between runtimes that add in other orders. Of a
linear probe on photos, LiteRT's and ONNX Runtime's are off by up to 6.5e-5."""


@dataclasses.dataclass(frozen=True)
class Measurement(Record):
    """Size, latency and accuracy of an export.

    Attributes:
        format: Name in `FORMATS`.
        folder: Of the export, from the run directory.
        size: Bytes of the model's files.
        zipped: Bytes after compression; only this is smaller for a pruned model.
        latency_ms: Milliseconds for one image, on the CPU, in the format's own runtime with the
            threads that it takes: the percentiles "p50", "p95" and "p99".
        accuracy: On validation images, 0 to 1. None if the model was trained on these, unless its
            accuracy out of fold is known and the export labels all images as the model does.
        images: How many validation images the export was compared with the Keras model on.
        agreement: Share of them that are labelled as by the Keras model.
        difference: Of a probability, at most.
        sparsity: Share of the kernels' weights that are zero, if the model was pruned.
        seen: Whether the model was trained on the validation images, as with folds and after a
            refit. Then its accuracy on them is not given.
        model: Digest of the exported Keras model; None in records of earlier versions.
    """

    way_on: ClassVar[str] = "Remove the folder that it is in, and export again."

    format: str
    folder: str
    size: int
    zipped: int
    latency_ms: dict[str, float]
    accuracy: float | None
    images: int
    agreement: float
    difference: float
    sparsity: float | None = None
    seen: bool = False
    model: str | None = None


def measurements(directory: str | Path) -> list[Measurement]:
    """Read the measurements of all exports of a run, in the order of their folders.

    Raises:
        StorageError: if one cannot be read.
    """
    paths = (Path(directory) / "export").rglob(MEASUREMENT_FILE)
    return [Measurement.load(path) for path in sorted(paths)]


MEASUREMENT_HEADER = (
    "export",
    "MB",
    "MB zipped",
    "ms per image",
    "accuracy",
    "same label as Keras",
    "largest difference",
)


def measurement_rows(found: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Return a table of measurements, as text, under `MEASUREMENT_HEADER`."""
    return [
        (
            f"{row.folder} ({row.format}"
            + ("" if row.sparsity is None else f", {row.sparsity:.0%} zeros")
            + ")",
            f"{row.size / 1e6:.2f}",
            f"{row.zipped / 1e6:.2f}",
            f"{row.latency_ms['p50']:.2f}",
            "–" if row.accuracy is None else f"{row.accuracy:.4f}",
            f"{row.agreement:.2%}",
            f"{row.difference:.1e}",
        )
        for row in found
    ]


def accuracy_note(found: Sequence[Measurement]) -> str:
    """Return which images the accuracies of a table were measured on, in a sentence or two.

    Args:
        found: The rows, at least one.
    """
    images = max(row.images for row in found)
    if not any(row.seen for row in found):
        return f"Accuracy was measured on up to {images:,} validation images, so it is optimistic."
    if all(row.accuracy is None for row in found):
        return "The models were trained on the validation images, so no accuracy is given."
    return (
        "Accuracy is out of fold: each training and validation image is labelled by models that "
        "were not trained on it. It is only given for exports whose labels are all those of the "
        "Keras model."
    )


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
