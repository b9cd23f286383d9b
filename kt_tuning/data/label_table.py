"""Reading of a table of file names and labels as a listing of image files."""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kt_tuning.core.errors import DataError, OptionError, StorageError, require_extra
from kt_tuning.core.records import PARTS, TableSource
from kt_tuning.data.folder_layout import split_parts
from kt_tuning.data.image_files import ImageFile, LeftOut, Listing, walk

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("kt_tuning")

COLUMNS: dict[str, tuple[str, ...]] = {
    "file": (
        *("file", "filename", "file_name", "filepath", "file_path", "image_path", "img_path"),
        *("path", "image", "image_id", "image_name", "img", "photo", "picture", "id", "name"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "classname", "category", "target"),
        *("class_id", "label_name", "species", "breed", "diagnosis", "y"),
    ),
    "split": ("split", "set", "subset", "partition", "part"),
    "group": (
        *("group", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id"),
        *("scene", "scene_id", "burst", "burst_id"),
    ),
}
"""Meaning of a column -> its usual names in lower case, the most specific first."""
SHOWN = 5
"""Rows or files that a message names."""


@dataclasses.dataclass(frozen=True)
class TableListing:
    """The files by split and label, the arguments for reading the table again, groups by path."""

    listing: Listing
    source: TableSource
    groups: dict[str, str]


class _Row(NamedTuple):
    """The cells of a row as text; empty ones are ""."""

    name: str
    label: str
    split: str
    group: str


def read_table(
    source: str | os.PathLike[str] | pd.DataFrame,
    images: str | os.PathLike[str] | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    max_missing: float = 0.0,
) -> TableListing:
    """Find the image files that the rows of a table name.

    Args:
        source: A `.csv`, `.tsv` or `.parquet` file, or a DataFrame: a row an image. One column has
            file names: absolute, or below `images`, with or without a folder and an extension. One
            has labels: text or numbers. One may have the split ("train", "val", "test" and their
            usual other names), and one a group, whose images stay on one side of a split.
        images: The folder of the images; that of the file if None.
        columns: Meaning ("file", "label", "split", "group") -> name of the column; others
            are found by their usual names, see `COLUMNS`.
        max_missing: Share of the rows, 0 to 1, that may be left out because their file is missing,
            their label is empty or another row has another label for the same file.

    Raises:
        OptionError: if a column is unknown, or `max_missing` is out of range.
        StorageError: if the table or the folder cannot be read.
        DataError: if the columns cannot be told, more rows than allowed must be left out, or a
            class has a single image.
    """
    if not 0 <= max_missing <= 1:
        raise OptionError(f"max_missing should be from 0 to 1. Received: {max_missing}")
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    table: Any = source if path is None else _read_file(path)
    if images is None:
        if path is None:
            raise OptionError("With a DataFrame, `images` is the folder that has its files.")
        images = path.parent
    root = os.path.realpath(images)
    if not os.path.isdir(root):
        raise StorageError(f"Expected a folder of images. Received: {images}")
    names = _find_columns([str(column) for column in table.columns], dict(columns or {}))
    table = table.rename(columns=str)
    if not len(table):
        raise DataError("The table has no rows.")
    cells = [
        _texts(table[names[meaning]]) if meaning in names else [""] * len(table)
        for meaning in COLUMNS
    ]
    rows = list(map(_Row, *cells))
    files = list(walk(root, "", LeftOut()))
    found, faults = _find_files(root, files, rows)
    if faults:
        parts = [f"{len(some)} {fault} ({_shown(some)})" for fault, some in faults.items()]
        wrong = sum(map(len, faults.values()))
        message = (
            f"{wrong} of {len(rows)} rows cannot be used: {'; '.join(parts)}. Files are those of "
            f"the column {names['file']!r} below {root}, labels those of {names['label']!r}"
        )
        if wrong > max_missing * len(rows):
            raise DataError(
                f"{message}. Correct them, name the right folder and columns, or allow a share to "
                f"be left out: max_missing={max(0.01, wrong / len(rows)):.2g}."
            )
        logger.warning("%s. They are left out.", message)
    if unlisted := [file.path for file in files if file not in found]:
        logger.warning(
            "%d image files in %s are in no row of the table and are left out, e.g. %s",
            *(len(unlisted), root, _shown(unlisted)),
        )
    known = TableSource(
        "" if path is None else str(path.resolve()), dict(columns or {}), max_missing
    )
    groups = {file.path: row.group for file, row in found.items() if row.group}
    return TableListing(_listing(root, found), known, groups)


def _read_file(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            require_extra(str(path), "parquet", "pyarrow")
            return pd.read_parquet(path)
        # As text: file names such as 007 and labels such as 1 stay as they are written.
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, encoding="utf-8-sig")
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read the table {path}: {error}") from error


def _find_columns(found: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    """Meaning -> name of the column."""
    for meaning, name in given.items():
        if meaning not in COLUMNS:
            raise OptionError(
                f"`columns` names {', '.join(COLUMNS)}. Received: columns={meaning}={name}"
            )
        if name not in found:
            raise OptionError(f"There is no column {name!r}. The table has: {', '.join(found)}")
    names = dict(given)
    for meaning, usual in COLUMNS.items():
        left = {name.strip().lower(): name for name in found if name not in names.values()}
        match = next((left[name] for name in usual if name in left), None)
        if meaning not in names and match is not None:
            names[meaning] = match
    left_over = [name for name in found if name not in names.values()]
    if "file" in names and "label" not in names and len(left_over) == 1:
        names["label"] = left_over[0]
    missing = [meaning for meaning in ("file", "label") if meaning not in names]
    if missing:
        raise DataError(
            f"Which column has the {' and which the '.join(missing)} cannot be told. The table "
            f"has: {', '.join(found)}. Name them: columns={{'file': …, 'label': …}} "
            "(--columns file=…,label=…)."
        )
    return names


def _texts(column: pd.Series) -> list[str]:
    """The cells as text, without blanks around it; an empty one is ""."""
    whole = column.dtype.kind == "f" and (column.dropna() % 1 == 0).all()
    filled = column.astype("Int64") if whole else column
    return [
        "" if missing else str(value).strip()
        for value, missing in zip(filled, column.isna(), strict=True)
    ]


def _find_files(
    root: str, files: Iterable[ImageFile], rows: Iterable[_Row]
) -> tuple[dict[ImageFile, _Row], dict[str, list[str]]]:
    """Return the valid rows by their file, and the names in other rows by fault."""
    # By path, by path without extension, by name, by name without extension.
    levels: list[dict[str, list[ImageFile]]] = [{}, {}, {}, {}]
    for file in files:
        stem = os.path.splitext(file.path)[0]
        names = (file.path, stem, os.path.basename(file.path), os.path.basename(stem))
        for level, name in zip(levels, names, strict=True):
            level.setdefault(name, []).append(file)
    valid: dict[ImageFile, _Row] = {}
    faults: dict[str, list[str]] = collections.defaultdict(list)
    contradicted: set[ImageFile] = set()
    for row in rows:
        if os.path.isabs(row.name):
            name = os.path.relpath(os.path.realpath(row.name), root)
        else:
            name = os.path.normpath(row.name) if row.name else ""
        meant: list[ImageFile] = next((level[name] for level in levels if name in level), [])
        if len(meant) != 1:
            fault = "name several files" if meant else "name a file that is missing"
            faults[fault].append(row.name)
        elif not row.label:
            faults["have no label"].append(row.name)
        elif valid.setdefault(meant[0], row).label != row.label:
            contradicted.add(meant[0])
            faults["give a file another label than an earlier row"].append(row.name)
    return {file: row for file, row in valid.items() if file not in contradicted}, dict(faults)


def _listing(root: str, rows: Mapping[ImageFile, _Row]) -> Listing:
    """Return the files by split and label."""
    counts = collections.Counter(row.label for row in rows.values())
    single = [label for label, count in counts.items() if count == 1]
    if len(counts) < 2 or single:
        wrong = f"a single image of: {_shown(sorted(single))}" if single else f"{len(counts)} class"
        raise DataError(
            f"Expected several images of each of at least 2 classes. The table has {wrong}. Add "
            "images, or remove those rows."
        )
    numbers = all(label.isdecimal() for label in counts)
    class_names = sorted(counts, key=lambda label: (int(label) if numbers else 0, label))
    found: dict[str, dict[str, list[ImageFile]]] = {}
    for file, row in rows.items():
        classes = found.setdefault(_part(row.split), {name: [] for name in class_names})
        classes[row.label].append(file)
    if "train" not in found:
        raise DataError(f"Expected rows of the train split. The table has: {', '.join(found)}")
    for part, classes in found.items():
        if lacking := [name for name, files in classes.items() if not files]:
            raise DataError(f"The {part} split has no image of: {_shown(lacking)}")
    parts = {
        part: tuple(tuple(sorted(files)) for files in found[part].values())
        for part in PARTS
        if part in found
    }
    return Listing(root, tuple(class_names), parts, dict.fromkeys(parts, ""))


@functools.lru_cache
def _part(split: str) -> str:
    """The split of a cell; an empty one is for training."""
    part = split_parts([split or "train"]).get(split or "train")
    if part is None:
        raise DataError(
            f"The column of splits has train, val or test, or nothing. Received: {split!r}"
        )
    return part


def _shown(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
