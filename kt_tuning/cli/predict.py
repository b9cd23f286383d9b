"""`predict`: image files and folders in, a table, CSV or JSON out."""

from __future__ import annotations

import csv
import enum
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kt_tuning.core.errors import DataError, KtTuningError, OptionError, StorageError
from kt_tuning.core.quiet import import_tensorflow

if TYPE_CHECKING:
    from kt_tuning.export import Served

_BATCH = 64


class Format(enum.StrEnum):
    """How predictions are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Row(NamedTuple):
    """What is said of one image file: its probabilities by class, or why there are none."""

    path: Path
    probabilities: tuple[float, ...] = ()
    error: str = ""


def predict(
    model: Annotated[Path, typer.Argument(help="A SavedModel, e.g. runs/photos/export/1.")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, and folders of them at any depth.")
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            help="table: path, label, probability; csv and json: the probability of each class, "
            "too.",
            show_default="by the extension of --out, else table",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="standard output")
    ] = None,
) -> None:
    """Classify image files with an exported SavedModel, which is all that this needs.

    Files are decoded as in training, whatever their format. One that cannot be read is a row that
    says why, and does not end the others.
    """
    chosen = _format(format, out)
    if out is not None and not out.parent.is_dir():
        raise StorageError(f"Cannot write {out}: there is no folder {out.parent}.")
    files = list(_files(images))
    if out is not None and out.resolve() in {file.resolve() for file in files}:
        raise OptionError(f"--out {out} is one of the image files: it would be overwritten.")
    if not files:
        raise DataError(f"Found no image files in {', '.join(map(str, images))}.")
    import_tensorflow()
    from kt_tuning.export import load_served

    served = load_served(model)
    rows = list(_predicted(served, files))
    failed = [row for row in rows if row.error]
    text = _WRITERS[chosen](rows, served.class_names)
    text = text.encode("utf-8", "backslashreplace").decode()  # file names need not be Unicode
    if out is None:
        sys.stdout.write(text)
    else:
        try:
            out.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise StorageError(f"Cannot write {out}: {error.strerror}.") from error
    if len(failed) == len(rows):
        reasons = "; ".join(row.error for row in failed[:3])
        raise DataError(f"None of {len(rows)} image files can be read: {reasons}")
    if failed:
        print(f"{len(failed)} of {len(rows)} image files cannot be read.", file=sys.stderr)


def _format(format: Format | None, out: Path | None) -> Format:
    if format is not None:
        return format
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in (Format.CSV, Format.JSON) else Format.TABLE


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files given, and the image files in the folders given, sorted in each."""
    from kt_tuning.data import image_files

    for path in paths:
        if path.is_dir():
            yield from image_files(path)
        else:
            yield path


def _predicted(served: Served, files: Sequence[Path]) -> Iterator[Row]:
    """Yield a row for each file, in the order given."""
    import numpy as np

    from kt_tuning.data import decode_image

    for start in range(0, len(files), _BATCH):
        rows = {}
        decoded = []
        for file in files[start : start + _BATCH]:
            try:
                decoded.append((file, decode_image(file, served.pixels)))
            except KtTuningError as error:
                rows[file] = Row(file, error=str(error))
        if decoded:
            probabilities = served.predict(np.stack([image for _, image in decoded]))
            for (file, _), row in zip(decoded, probabilities.tolist(), strict=True):
                rows[file] = Row(file, tuple(row))
        yield from (rows[file] for file in files[start : start + _BATCH])


def _best(row: Row, names: Sequence[str]) -> tuple[str, float]:
    """Return the most probable class, and its probability."""
    place = max(range(len(names)), key=row.probabilities.__getitem__)
    return names[place], row.probabilities[place]


def _table(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = []
    for row in rows:
        if row.error:
            lines.append(f"{row.path}\terror: {row.error}\n")
        else:
            label, probability = _best(row, names)
            lines.append(f"{row.path}\t{label}\t{probability:.4f}\n")
    return "".join(lines)


def _csv(rows: Sequence[Row], names: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", *names, "error"])
    for row in rows:
        best = ("", "") if row.error else _best(row, names)
        writer.writerow([row.path, *best, *(row.probabilities or [""] * len(names)), row.error])
    return text.getvalue()


def _json(rows: Sequence[Row], names: Sequence[str]) -> str:
    content = []
    for row in rows:
        entry: dict[str, Any] = {"path": str(row.path), "label": None, "probability": None}
        entry |= {"probabilities": None, "error": row.error or None}
        if not row.error:
            entry["label"], entry["probability"] = _best(row, names)
            entry["probabilities"] = dict(zip(names, row.probabilities, strict=True))
        content.append(entry)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_WRITERS = {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json}
