"""Limits of a model, derived from the records of its run."""

from __future__ import annotations

import numpy as np

from kt_tuning.core.records import UNEVEN
from kt_tuning.export import Measurement
from kt_tuning.finalize.run_records import RunRecords

FEW = 100
"""Training images of a class below which a warning is due."""
_WEAKEST = 3


def limits(records: RunRecords, measurement: Measurement | None) -> list[str]:
    """Return a sentence a limit."""
    names, pixels = records.data.class_names, records.data.pixels
    found = [
        f"It answers with one of its {len(names)} classes whatever an image shows, and was tested "
        "on images from the same source as those that it was trained on.",
        f"Images are resized to {pixels.height} × {pixels.width} pixels: details that are lost "
        "there do not count.",
    ]
    found += _of_the_data(records)
    found += _of_the_scores(records)
    if measurement is not None and measurement.sparsity is not None:
        found.append(
            f"{measurement.sparsity:.0%} of the weights were pruned after the test scores were "
            "measured: "
            + (
                "of the pruned model no accuracy is known."
                if measurement.accuracy is None
                else "of the pruned model only the validation accuracy above is known."
            )
        )
    return found


def _of_the_data(records: RunRecords) -> list[str]:
    names = records.data.class_names
    counts = np.array(records.data.counts.get("train", ()))
    if len(counts) != len(names) or counts.min() < 1:
        return []
    found = []
    few = [name for name, count in zip(names, counts, strict=True) if count < FEW]
    if few:
        found.append(f"Fewer than {FEW} training images: {_listed(few)}.")
    if counts.max() >= UNEVEN * counts.min():
        most, least = names[counts.argmax()], names[counts.argmin()]
        found.append(
            f"Classes are uneven: {counts.max():,} training images of {most}, "
            f"{counts.min():,} of {least}."
        )
    return found


def _of_the_scores(records: RunRecords) -> list[str]:
    scores = records.scores
    if scores is None:
        return ["How good it is on new images is not known."]
    found = []
    confusion = np.array(scores.confusion)
    totals = confusion.sum(axis=1)
    recall = np.divide(confusion.diagonal(), totals, out=np.ones(len(totals)), where=totals > 0)
    weak = [label for label in np.argsort(recall, kind="stable")[:_WEAKEST] if recall[label] < 1]
    if weak:
        cells = ", ".join(f"{scores.class_names[label]} ({recall[label]:.0%})" for label in weak)
        found.append(f"Classes recognised least often, and how often: {cells}.")
    if scores.robustness is None:
        found.append("Robustness (noise, blur, weather, attacks) has not been measured.")
    return found


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
