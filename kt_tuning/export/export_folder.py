"""The folder of an export: written completely or not at all, with labels and provenance."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import atomic_folder
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import DataCard

LABELS_FILE = "labels.txt"
PROVENANCE_FILE = "provenance.json"

_PACKAGES = ("kt-tuning", "keras", "tensorflow", "numpy", "pillow")


def next_version(folder: Path) -> Path:
    """Return the first unused version, 1, 2, …, of TensorFlow Serving's `folder/<version>`."""
    return folder / str(max(versions(folder), default=0) + 1)


def versions(folder: Path) -> list[int]:
    """Return the versions in a folder of exports."""
    return [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]


def check_free(path: Path) -> None:
    """Refuse a path that is in use.

    Raises:
        StorageError: if `path` is anything but an empty folder.
    """
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists():
        free = next_version(path.parent)
        if free.name == "1":
            free = path.with_name(f"{path.name}-2")
        raise StorageError(f"{path} is there already. Export to {free}, or remove it first.")


@contextlib.contextmanager
def new_export(path: Path) -> Iterator[Path]:
    """Yield a folder that becomes `path` at the end of the block; see `atomic_folder`.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        with atomic_folder(path) as folder:
            yield folder
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_labels(folder: Path, names: Sequence[str]) -> None:
    """Write `labels.txt`: one class name a line, label 0 first."""
    labels = "".join(f"{name}\n" for name in names)
    (folder / LABELS_FILE).write_text(labels, encoding="utf-8", newline="\n")


def write_provenance(
    folder: Path, card: DataCard, packages: Sequence[str], **more: dict[str, Any] | str
) -> None:
    """Write `provenance.json`: date, data and package versions of the export.

    Args:
        folder: Folder of the file.
        card: The data.
        packages: Packages whose versions are recorded beside those of Keras, TensorFlow and others.
        **more: Further entries.
    """
    versions = {"python": platform.python_version()}
    for name in (*_PACKAGES, *packages):
        # Not found: run from a checkout, or TensorFlow has another name such as tensorflow-cpu.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    content = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "data": card.to_json(),
        **more,
    }
    write_json(folder / PROVENANCE_FILE, content)
