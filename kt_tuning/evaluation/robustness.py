"""Robustness: a metric on corrupted images and under attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kt_tuning.evaluation.metrics import check_labels, find_metric
from kt_tuning.evaluation.predict import Predict, predict_images


@dataclasses.dataclass(frozen=True)
class Robustness(Record):
    """A metric under corruptions and attacks.

    Attributes:
        metric: Name in `METRICS`.
        images: Number of images.
        clean: The metric on the images as they are.
        severities: Severities that were measured, 1 to 5.
        corrupted: Corruption -> the metric at each severity; empty if none was measured.
        adversarial: Attack -> largest change of a pixel, of 255 -> accuracy; empty if no attack
            was measured.
        available: Images of the split that `images` were chosen from; None in older records, and
            where nothing was chosen.
    """

    metric: str
    images: int
    clean: float
    severities: tuple[int, ...]
    corrupted: dict[str, tuple[float, ...]]
    adversarial: dict[str, dict[float, float]] = dataclasses.field(default_factory=dict)
    available: int | None = None

    @property
    def sample(self) -> str:
        """Such as "100 of 400 images", or "400 images" if they are all."""
        of = "" if self.available in (None, self.images) else f" of {self.available:,}"
        return f"{self.images:,}{of} images"

    def mean(self, name: str | None = None) -> float:
        """Return the mean over the severities of one corruption, or over everything measured.

        It is nan if no corruption was measured.
        """
        rows = self.corrupted.values() if name is None else [self.corrupted[name]]
        return float(np.mean(list(rows))) if rows else float("nan")

    def completed_by(self, other: Robustness | None) -> Robustness:
        """Return this, with corruptions or attacks that were only measured in another table.

        One of other images, or of another model, adds nothing.
        """
        if other is None or (self.metric, self.images, self.clean) != (
            other.metric,
            other.images,
            other.clean,
        ):
            return self
        if not self.corrupted:
            return dataclasses.replace(other, adversarial={**other.adversarial, **self.adversarial})
        return dataclasses.replace(self, adversarial={**other.adversarial, **self.adversarial})

    def __str__(self) -> str:
        width = max(len(name) for name in (*self.corrupted, *self.adversarial, "corruption"))
        header = "".join(f"{severity:>8}" for severity in self.severities)
        title = f"{self.metric} on {self.sample}: {self.clean:.4f} clean"
        lines = [title]
        if self.corrupted:
            lines = [
                f"{title}, {self.mean():.4f} corrupted on average",
                f"{'corruption':<{width}}{header}    mean",
            ]
        for name, values in self.corrupted.items():
            cells = "".join(f"{value:8.4f}" for value in values)
            lines.append(f"{name:<{width}}{cells}{self.mean(name):8.4f}")
        for name, row in self.adversarial.items():
            cells = ", ".join(f"{value:.4f} at {epsilon:g}/255" for epsilon, value in row.items())
            lines.append(f"{name:<{width}}  accuracy {cells}")
        return "\n".join(lines)


def robustness(
    predict: Predict,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    metric: str = "accuracy",
    seed: int = 0,
) -> Robustness:
    """Measure a model under natural corruptions.

    Each of the 15 corruptions at 5 severities is one more pass over the images.

    Args:
        predict: uint8 images (n, H, W, C) -> probabilities (n, classes).
        images: (n, H, W, C) uint8.
        labels: (n,) integers in 0..classes-1.
        corruptions: Names in `CORRUPTIONS`.
        severities: From 1 (mild) to 5.
        metric: Name in `METRICS`.
        seed: Seed of the corruptions.

    Returns:
        The table; `adversarial_accuracy` measures attacks, to be put beside it with
        `dataclasses.replace(table, adversarial=…)`.

    Raises:
        OptionError: on an unknown corruption, severity or metric, or none of them.
        DataError: if images, labels and predictions do not fit together.
    """
    measure = find_metric(metric).function
    if not corruptions or not severities:
        raise OptionError("Give at least one corruption and one severity. Received: none.")
    if len(images) != len(labels):
        raise DataError(
            f"Expected one label an image. Received: {len(images)} images, {len(labels)} labels."
        )
    clean = predict_images(predict, images)
    check_labels(labels, clean)
    corrupted = {
        name: tuple(
            measure(labels, predict_images(predict, corrupt(images, name, severity, seed=seed)))
            for severity in severities
        )
        for name in corruptions
    }
    return Robustness(metric, len(labels), measure(labels, clean), tuple(severities), corrupted)
