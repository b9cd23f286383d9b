"""What an exported model costs and is worth, measured on this machine."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation import measure_latency
from kt_tuning.export import (
    LABELS_FILE,
    MEASUREMENT_FILE,
    MEASUREMENT_HEADER,
    PROVENANCE_FILE,
    Exported,
    Measurement,
    measurement_rows,
)

MODEL_CARD_FILE = "MODEL_CARD.md"

_BESIDE_THE_MODEL = {LABELS_FILE, PROVENANCE_FILE, MEASUREMENT_FILE, MODEL_CARD_FILE}
_LATENCY_CALLS = 50
_CHUNK = 1 << 20


def measure_export(
    exported: Exported,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]] | None,
    *,
    folder: str,
    sparsity: float | None = None,
    out_of_fold: float | None = None,
) -> Measurement:
    """Measure an export in the runtime that it is meant for, and keep the result beside it.

    Args:
        exported: What `export_model` returned.
        images: (N, H, W, C) uint8 of the validation split, which the two were compared on.
        labels: (N,) integers in 0..classes-1; None if the model was trained on these images.
        folder: See `Measurement`.
        sparsity: See `Measurement`.
        out_of_fold: Without labels, the accuracy that the model has out of fold, if it is known.
    """
    files = [path for path in exported.path.rglob("*") if path.is_file()]
    model_files = [path for path in files if path.name not in _BESIDE_THE_MODEL]
    accuracy = None
    if labels is not None:
        accuracy = float((exported.probabilities.argmax(axis=1) == labels).mean())
    elif exported.check.agreement == 1 and sparsity is None:
        accuracy = out_of_fold
    measurement = Measurement(
        format=exported.format,
        folder=folder,
        size=sum(path.stat().st_size for path in model_files),
        zipped=sum(map(_zipped, model_files)),
        latency_ms=measure_latency(exported.predict, images[:1], repeats=_LATENCY_CALLS),
        accuracy=accuracy,
        images=len(images),
        agreement=exported.check.agreement,
        difference=exported.check.difference,
        sparsity=sparsity,
        seen=labels is None,
    )
    measurement.save(exported.path / MEASUREMENT_FILE)
    return measurement


def format_table(found: Sequence[Measurement]) -> str:
    """Return the table for a terminal."""
    lines = [MEASUREMENT_HEADER, *measurement_rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _zipped(path: Path) -> int:
    packer, size = zlib.compressobj(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())
