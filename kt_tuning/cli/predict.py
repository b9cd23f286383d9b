"""The command `predict`: classifies image files, and writes a table, CSV or JSON."""

from __future__ import annotations

import csv
import enum
import glob
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import DataError, KtTuningError, OptionError, StorageError
from kt_tuning.core.names import printable
from kt_tuning.core.quiet import import_tensorflow

if TYPE_CHECKING:
    from kt_tuning.export import LoadedModel

_BATCH = 64
_PREDICTIONS = rb'path,label,probability,|\[\s*\{\s*"path": |.*\t(error: |[^\t\n]*\t[01]\.\d{4}\n)'
"""How a file of predictions begins."""


class Format(enum.StrEnum):
    """How predictions are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def predict(
    model: Annotated[Path, typer.Argument(help="A SavedModel, e.g. runs/photos/export/1.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders of them at any depth, and patterns such as *.jpg."
        ),
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            help="Output format. table: path, label and probability; csv and json also have the "
            "probability of each class.",
            show_default="by the extension of --out, else table",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write. A file with earlier predictions is replaced.",
            show_default="standard output",
        ),
    ] = None,
) -> None:
    """Classify image files with an exported SavedModel; the run directory is not needed.

    Files are decoded as in training, in all formats that Pillow reads. A file that cannot be read
    gets a row with the reason, and the other files are still classified.
    """
    chosen = _format(format, out)
    files = list(_files(images))
    if out is not None:
        _check_out(out)
    if not files:
        raise DataError(f"Found no image files in {', '.join(map(str, images))}.")
    import_tensorflow()
    from kt_tuning.export import load_saved_model

    served = load_saved_model(model)
    rows = list(_predicted(served, files))
    failed = [row for row in rows if row["error"]]
    if chosen is Format.JSON:
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    else:
        text = _csv(rows, served.class_names) if chosen is Format.CSV else _table(rows)
    text = text.encode("utf-8", "backslashreplace").decode()  # file names need not be Unicode
    if out is None:
        sys.stdout.write(printable(text))
    else:
        try:
            with atomic_write(out, durable=False) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise StorageError(f"Cannot write {out}: {error.strerror}.") from error
    if len(failed) == len(rows):
        reasons = "; ".join(row["error"] for row in failed[:3])
        raise DataError(f"None of {len(rows)} image files can be read: {reasons}")
    if failed:
        print(f"{len(failed)} of {len(rows)} image files cannot be read.", file=sys.stderr)


def _format(format: Format | None, out: Path | None) -> Format:
    if format is not None:
        return format
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in (Format.CSV, Format.JSON) else Format.TABLE


def _check_out(out: Path) -> None:
    """Refuse a file that cannot be written, and one that is not of an earlier prediction."""
    if not out.parent.is_dir():
        raise StorageError(f"Cannot write {out}: there is no folder {out.parent}.")
    if out.is_dir():
        raise StorageError(f"Cannot write {out}: it is a folder.")
    if not out.is_file():  # nothing, or a device such as /dev/stdout
        return
    with open(out, "rb") as file:
        start = file.read(5000)
    if start and not re.match(_PREDICTIONS, start):
        raise OptionError(
            f"--out {out} is another file, which would be lost. Name one that does not exist, or "
            "one of earlier predictions."
        )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files that are given or match a pattern, and the image files in folders, sorted."""
    from kt_tuning.data import image_files

    for path in paths:
        # Shells leave a pattern in quotes as it is, and that of Windows leaves any.
        found = [] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        for one in found or [path]:
            if one.is_dir():
                yield from image_files(one)
            else:
                yield one


def _predicted(served: LoadedModel, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the prediction of each file, in the order given: None of one that has an error."""
    import numpy as np

    from kt_tuning.data import decode_image

    names = served.class_names
    for start in range(0, len(files), _BATCH):
        fields = ("path", "label", "probability", "probabilities", "error")
        batch = files[start : start + _BATCH]
        rows: list[dict[str, Any]] = [dict.fromkeys(fields) | {"path": str(f)} for f in batch]
        decoded = []
        for row in rows:
            try:
                decoded.append((row, decode_image(Path(row["path"]), served.pixels)))
            except KtTuningError as error:
                row["error"] = str(error)
        if decoded:
            predicted = served.predict(np.stack([image for _, image in decoded])).tolist()
            for (row, _), probabilities in zip(decoded, predicted, strict=True):
                row["probabilities"] = dict(zip(names, probabilities, strict=True))
                best = max(range(len(names)), key=probabilities.__getitem__)
                row["label"], row["probability"] = names[best], probabilities[best]
        yield from rows


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f"{row['path']}\terror: {row['error']}\n"
        if row["error"]
        else f"{row['path']}\t{row['label']}\t{row['probability']:.4f}\n"
        for row in rows
    )


def _csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", *names, "error"])
    for row in rows:
        found = (row["probabilities"] or dict.fromkeys(names)).values()
        writer.writerow([row["path"], row["label"], row["probability"], *found, row["error"]])
    return text.getvalue()
