"""Reading of a table of file names and labels as a listing of image files."""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.names import composed
from kt_tuning.core.records import PARTS, TableSource
from kt_tuning.core.units import check_share
from kt_tuning.data.image_files import ImageFile, LeftOut, Listing, walk
from kt_tuning.data.split_names import split_parts
from kt_tuning.data.table_file import read_table_file

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("kt_tuning")

COLUMNS: dict[str, tuple[str, ...]] = {
    "file": (
        *("file", "filename", "file_name", "filepath", "file_path", "image_path", "img_path"),
        *("image_file", "image_filename", "img_name", "image_index", "fname"),
        *("path", "image", "image_id", "image_name", "img", "photo", "picture", "id", "name"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "classname", "category", "target"),
        *("class_label", "finding_labels", "dx"),
        *("class_id", "label_name", "species", "breed", "diagnosis", "y"),
    ),
    "split": ("split", "set", "subset", "partition", "part"),
    "group": (
        *("group", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id"),
        *("lesion", "lesion_id", "scene", "scene_id", "burst", "burst_id"),
    ),
}
"""Meaning of a column -> its usual names, the most specific first; case, spaces and punctuation
do not matter."""
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
        source: A `.csv`, `.tsv` or `.parquet` file, or a DataFrame: a row per image. The cells of a
            text file are separated by commas, semicolons, tabs or bars, as its first line is. One
            column has file names, or else an index of text: absolute, or below `images`, with or
            without a folder and an extension, in any case; of a path that has the name of that
            folder in it, what follows is enough. Of absolute paths of another machine the leading
            folders that all rows share are left out. One has labels: text or numbers. One may have
            the split ("train", "val", "test" and their usual other names), and one a group, whose
            images stay on one side of a split.
        images: The folder of the images; that of the file if None.
        columns: Meaning ("file", "label", "split", "group") -> name of the column; others
            are found by their usual names, see `COLUMNS`.
        max_missing: Share of the rows, 0 to 1, that may be left out because their file is missing,
            their label is empty or that of no other file, or another row has another label for
            the same file.

    Raises:
        OptionError: if a column is unknown, or `max_missing` is out of range.
        StorageError: if the table or the folder cannot be read.
        DataError: if the columns cannot be told, or more rows than allowed must be left out.
    """
    check_share("max_missing", max_missing)
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    table: Any = source if path is None else read_table_file(path)
    if images is None:
        if path is None:
            raise OptionError("With a DataFrame, `images` is the folder that has its files.")
        images = path.parent
    root = os.path.realpath(images)
    if not os.path.isdir(root):
        raise StorageError(f"Expected a folder of images. Received: {images}")
    given = _check_columns({} if columns is None else columns)
    table = _with_file_names(table, given.get("file"))
    names = _find_columns(list(table.columns), given)
    if not len(table):
        raise DataError("The table has no rows.")
    cells = [
        _texts(table[names[meaning]]) if meaning in names else [""] * len(table)
        for meaning in COLUMNS
    ]
    rows = list(map(_Row, *cells))
    files = list(walk(root, "", LeftOut()))
    found, faults, unlisted = _find_files(root, files, rows)
    if faults:
        parts = [f"{len(some)} {fault} ({_shown(some)})" for fault, some in faults.items()]
        wrong = sum(map(len, faults.values()))
        message = (
            f"{wrong} of {len(rows)} rows cannot be used: {'; '.join(parts)}. The files are named "
            f"in the column {names['file']!r}, relative to {root}, and the labels in the column "
            f"{names['label']!r}"
        )
        if wrong > max_missing * len(rows):
            raise DataError(
                f"{message}. Correct them, name the right folder and columns, or allow a share of "
                f"the rows to be left out: max_missing={max(0.01, wrong / len(rows)):.2g} "
                "(--max-missing)."
            )
        logger.warning("%s. They are left out.", message)
    if unlisted:
        logger.warning(
            "%d image files in %s are left out, because no row of the table names them, e.g. %s",
            *(len(unlisted), root, _shown(unlisted)),
        )
    known = TableSource("" if path is None else str(path.resolve()), given, max_missing)
    groups = {file.path: row.group for file, row in found.items() if row.group}
    return TableListing(_listing(root, found), known, groups)


def _check_columns(given: Any) -> dict[str, str]:
    """Return the user's names of columns as composed text, by meaning."""
    names = {}
    if isinstance(given, Mapping):
        names = {meaning: composed(str(name)) for meaning, name in given.items()}
    if not isinstance(given, Mapping) or len(set(names.values())) < len(names):
        raise OptionError(
            "`columns` maps some of file, label, split and group to a column each, such as "
            f"{{'label': 'breed'}}. Received: columns={given!r}"
        )
    for meaning, name in names.items():
        if meaning not in COLUMNS:
            raise OptionError(
                f"`columns` names {', '.join(COLUMNS)}. Received: columns={meaning}={name}"
            )
    return names


def _with_file_names(table: pd.DataFrame, file: str | None) -> pd.DataFrame:
    """Return the table with composed names of columns, and its index as one if that has the files.

    An index of text has them if it is called `file`; if `file` is None, unless there is a column
    with a usual name for files.
    """
    table = table.rename(columns=lambda name: composed(str(name)))
    usual = set(map(_plain, COLUMNS["file"] if file is None else (file,)))
    is_there = not usual.isdisjoint(map(_plain, table.columns))
    is_index = table.index.inferred_type == "string" and file in (None, table.index.name)
    return table.reset_index(names=file or COLUMNS["file"][0]) if is_index > is_there else table


def _find_columns(found: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Meaning -> name of the column."""
    for name in given.values():
        if name not in found:
            raise OptionError(f"There is no column {name!r}. The table has: {', '.join(found)}")
    names = dict(given)
    for meaning, usual in COLUMNS.items():
        left = {_plain(name): name for name in found if name not in names.values()}
        match = next((left[_plain(name)] for name in usual if _plain(name) in left), None)
        if meaning not in names and match is not None:
            names[meaning] = match
    left_over = [name for name in found if name not in names.values()]
    if "file" in names and "label" not in names and len(left_over) == 1:
        names["label"] = left_over[0]
    missing = [meaning for meaning in ("file", "label") if meaning not in names]
    if missing:
        raise DataError(
            f"Cannot tell which column has the {' and which the '.join(missing)}. The table has: "
            f"{', '.join(found)}. Name them: columns={{'file': …, 'label': …}} "
            "(--column file=… --column label=…)."
        )
    for name in names.values():
        if len(same := [one for one in found if _plain(one) == _plain(name)]) > 1 and (
            name not in given.values() or found.count(name) > 1
        ):
            raise DataError(
                f"Several columns have the same name: {', '.join(same)}. Keep one of them."
            )
    used = ", ".join(f"{meaning} = {name}" for meaning, name in names.items())
    unused = ", ".join(name for name in found if name not in names.values())
    logger.info("Columns of the table: %s%s", used, f"; not used: {unused}" if unused else "")
    return names


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _texts(column: pd.Series) -> list[str]:
    """The cells as composed text, without blanks around it; an empty one is ""."""
    whole = column.dtype.kind == "f" and (column.dropna() % 1 == 0).all()
    filled = column.astype("Int64") if whole else column
    return [
        "" if missing else composed(str(value).strip())
        for value, missing in zip(filled, column.isna(), strict=True)
    ]


def _find_files(
    root: str, files: Iterable[ImageFile], rows: Iterable[_Row]
) -> tuple[dict[ImageFile, _Row], dict[str, list[str]], list[str]]:
    """Return the valid rows by their file, names in other rows by fault, and files in no row."""
    # By path, by path without extension, by name, by name without extension; then in lower case.
    levels: list[dict[str, list[ImageFile]]] = [{} for _ in range(8)]
    for file in files:
        path = composed(file.path)
        stem = os.path.splitext(path)[0]
        names = [path, stem, os.path.basename(path), os.path.basename(stem)]
        for level, name in zip(levels, [*names, *map(str.casefold, names)], strict=True):
            level.setdefault(name, []).append(file)
    valid: dict[ImageFile, _Row] = {}
    faults: dict[str, list[str]] = collections.defaultdict(list)
    named: set[ImageFile] = set()
    prefix: str | None = None
    contradicted: set[ImageFile] = set()
    for row in rows:
        spellings = list(_spellings(row.name, root)) if row.name else []
        # Below another folder, the files would be others.
        spellings = [(name, start) for name, start in spellings if start in ("", prefix or start)]
        spellings += [(name.casefold(), start) for name, start in spellings]
        known = ((level[n], s) for n, s in spellings for level in levels if n in level)
        meant, start = next(known, ([], ""))
        prefix = start or prefix
        named.update(meant)
        if len(meant) != 1:
            fault = "match several files" if meant else "name a file that is missing"
            faults[fault].append(row.name)
        elif not row.label:
            faults["have no label"].append(row.name)
        elif valid.setdefault(meant[0], row).label != row.label:
            contradicted.add(meant[0])
            faults["give a file another label than an earlier row"].append(row.name)
    for file in contradicted:
        del valid[file]
    counts = collections.Counter(row.label for row in valid.values())
    for file, row in list(valid.items()):
        if counts[row.label] == 1 < len(valid):
            faults["are the only image of their class"].append(f"{row.label}: {row.name}")
            del valid[file]
    return valid, dict(faults), [file.path for file in files if file not in named]


@functools.lru_cache
def _relative(folder: str, root: str) -> str:
    """Return the path of a folder relative to that of the images."""
    return os.path.relpath(os.path.realpath(folder), root)


def _spellings(name: str, root: str) -> Iterator[tuple[str, str]]:
    """Yield the paths below the folder of images that a file name may mean, the likeliest first.

    Each with the folders that were left out at the start of the name, "" if none was.
    """
    if os.path.isabs(name):
        parent, file = os.path.split(name)
        yield os.path.normpath(os.path.join(_relative(parent, root), file)), ""
    else:
        yield os.path.normpath(name), ""
    # Written on Windows, on another machine, or from a folder above.
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    yield "/".join(parts), ""
    folder = composed(os.path.basename(root))
    elsewhere = _is_elsewhere(name.replace("\\", "/").rpartition("/")[0], root)
    for place, part in enumerate(parts[:-1], 1):
        if elsewhere or part == folder:
            yield "/".join(parts[place:]), "/".join(parts[:place])


@functools.lru_cache
def _is_elsewhere(folder: str, root: str) -> bool:
    """Whether a folder is of another machine, by the start of its path, or of a URL."""
    if not folder.startswith("/"):
        return re.match(r"[A-Za-z]:|\w+:/", folder) is not None
    start = "/".join(folder.split("/")[:3])  # such as /home/name
    return not (os.path.exists(start) or Path(os.path.realpath(folder)).is_relative_to(root))


def _listing(root: str, rows: Mapping[ImageFile, _Row]) -> Listing:
    """Return the files by split and label."""
    counts = collections.Counter(row.label for row in rows.values())
    if len(counts) < 2:
        raise DataError(
            "Expected several images of each of at least 2 classes. The table has only: "
            f"{', '.join(counts) or 'none'}."
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
            f"The column of splits has train, val or test, or nothing. Received: {split!r}. Name "
            "the right column, columns={'split': …} (--column split=…), or rename this one if it "
            "means something else."
        )
    return part


def _shown(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
