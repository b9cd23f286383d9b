"""What an exported model costs and is worth, measured on this machine."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.evaluation import measure_latency
from kt_tuning.export import FORMATS, LABELS_FILE, PROVENANCE_FILE, Exported, predict_all
from kt_tuning.records import Record

MEASUREMENT_FILE = "measurement.json"
MODEL_CARD_FILE = "MODEL_CARD.md"

_BESIDE_THE_MODEL = {LABELS_FILE, PROVENANCE_FILE, MEASUREMENT_FILE, MODEL_CARD_FILE}
_LATENCY_CALLS = 50
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Measurement(Record):
    """A row of the table of formats.

    Attributes:
        format: Name in `FORMATS`.
        folder: Of the export, from the run directory.
        size: Bytes of the model's files.
        zipped: Bytes after compression, by which alone the zeros of a pruned model are saved.
        latency_ms: Milliseconds for one image, on the CPU, in the format's own runtime with the
            threads that it takes: the percentiles "p50", "p95" and "p99".
        accuracy: On validation images, 0 to 1.
        images: How many.
        agreement: Share of them that are labelled as by the Keras model.
        difference: Of a probability, at most.
        sparsity: Share of the kernels' weights that are zero, if the model was pruned.
    """

    format: str
    folder: str
    size: int
    zipped: int
    latency_ms: dict[str, float]
    accuracy: float
    images: int
    agreement: float
    difference: float
    sparsity: float | None = None


def measure_export(
    exported: Exported,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    folder: str,
    sparsity: float | None = None,
) -> Measurement:
    """Measure an export in the runtime that it is meant for, and keep the result beside it.

    Args:
        exported: What `export_model` returned.
        images: (N, H, W, C) uint8 of the validation split.
        labels: (N,) integers in 0..classes-1.
        folder: See `Measurement`.
        sparsity: See `Measurement`.
    """
    predict = FORMATS[exported.format].read(exported.path)
    files = [path for path in exported.path.rglob("*") if path.is_file()]
    model_files = [path for path in files if path.name not in _BESIDE_THE_MODEL]
    measurement = Measurement(
        format=exported.format,
        folder=folder,
        size=sum(path.stat().st_size for path in model_files),
        zipped=sum(map(_zipped, model_files)),
        latency_ms=measure_latency(predict, images[:1], repeats=_LATENCY_CALLS),
        accuracy=float((predict_all(predict, images).argmax(axis=1) == labels).mean()),
        images=len(images),
        agreement=exported.parity.agreement,
        difference=exported.parity.difference,
        sparsity=sparsity,
    )
    measurement.save(exported.path / MEASUREMENT_FILE)
    return measurement


def measurements(directory: str | Path) -> list[Measurement]:
    """Read the measurements of all exports of a run, in the order of their folders.

    Raises:
        StorageError: if one cannot be read.
    """
    paths = (Path(directory) / "export").rglob(MEASUREMENT_FILE)
    return [Measurement.load(path) for path in sorted(paths)]


HEADER = ("export", "MB", "MB zipped", "ms an image", "accuracy", "labels as Keras", "difference")


def rows(found: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Return a table of measurements, as text, under `HEADER`."""
    return [
        (
            f"{row.folder} ({_name(row)})",
            f"{row.size / 1e6:.2f}",
            f"{row.zipped / 1e6:.2f}",
            f"{row.latency_ms['p50']:.2f}",
            f"{row.accuracy:.4f}",
            f"{row.agreement:.2%}",
            f"{row.difference:.1e}",
        )
        for row in found
    ]


def format_table(found: Sequence[Measurement]) -> str:
    """Return the table for a terminal."""
    lines = [HEADER, *rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _name(row: Measurement) -> str:
    return row.format if row.sparsity is None else f"{row.format}, {row.sparsity:.0%} zeros"


def _zipped(path: Path) -> int:
    packer, size = zlib.compressobj(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())
