"""Atomic file writes: a file is replaced as a whole or stays as it was; and growing CSV files.

A durable write also survives a power loss: the data are flushed to the disk before the file gets
its name, and the name before the write returns. Pillai et al. (2014), "All File Systems Are Not
Created Equal", OSDI, explains why both are needed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

WRITING = "writing."
"""Prefix of the names of files that are being written."""


@contextlib.contextmanager
def atomic_write(path: str | Path, *, durable: bool, sync_name: bool = True) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` at the end of the block, unless it raises.

    The temporary name ends with the name of `path`, so that writers that look at suffixes work.

    Args:
        path: The file to write; its folder exists.
        durable: Whether the file must survive a power loss once the block has ended. Results,
            records and checkpoints must; caches and files for other programs need not.
        sync_name: Whether a durable file has its name on the disk at the end. False is for files
            that are followed by another durable file in the same folder, which flushes all names.

    Raises:
        OSError: if the file cannot be written; it names `path` if it names no file otherwise.
    """
    path = Path(path)
    temporary = path.with_name(f"{WRITING}{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        if durable:
            sync_file(temporary)
        os.replace(temporary, path)
        if durable and sync_name:
            sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `path` at the end of the block, or is removed if it raises.

    The files and names in it are flushed to the disk before it gets its name.

    Args:
        path: The folder to make; absent, or an empty folder. Missing parents are made.

    Raises:
        OSError: if it cannot be written.
    """
    # TensorFlow Serving reads folders whose names are numbers, so it ignores this one.
    folder = path.with_name(f".{path.name}.{secrets.token_hex(16)}.tmp")
    try:
        make_folder(path.parent)
        folder.mkdir()
        with held(folder):
            yield folder
            for entry in (folder, *folder.rglob("*")):
                sync_folder(entry) if entry.is_dir() else sync_file(entry)
            if path.is_dir():
                # Windows does not replace a folder.
                path.rmdir()
            folder.replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Lock a temporary folder in the block, so that `remove_abandoned` of others leaves it.

    The operating system releases the lock if this process dies. Yields whether it is locked: not
    if another process holds it, or without locks, as on Windows and some network drives.
    """
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


TEMPORARY = f".*.{'[0-9a-f]' * 32}.tmp"
"""Pattern of the names of folders that `atomic_folder` is making."""


NEW_SECONDS = 60
"""Age of an empty folder in seconds below which its process may not hold it yet."""


def remove_abandoned(folder: Path, pattern: str = TEMPORARY) -> None:
    """Remove temporary folders that no living process holds.

    Empty ones newer than `NEW_SECONDS` stay: they are held before anything is written.

    Args:
        folder: Where they are; may be missing.
        pattern: Of their names; by default those of `atomic_folder`.
    """
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            new = time.time() - path.stat().st_mtime < NEW_SECONDS
            if path.is_symlink() or (new and not any(path.iterdir())):
                continue
            with held(path) as free:
                if free:
                    shutil.rmtree(path, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents; their names survive a power loss."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the operating system can do that."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flush all data written to a file, also by other descriptors, to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder that only this process writes."""
    for path in folder.glob(f"{WRITING}*"):
        with contextlib.suppress(OSError):
            path.unlink()


class CsvTable:
    """A CSV file that grows by rows, and by columns if a row has new ones.

    Args:
        path: The file; made with the first row.

    Attributes:
        path: As above.
        header: Names of the columns, as far as the file has been read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: list[str] = []

    def read(self) -> list[dict[str, str]]:
        """Return the complete rows; a kill may have left an incomplete last one."""
        text = ""
        if self.path.exists():
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        rows = [row for row in reader if None not in (*row, *row.values())]
        self.header = list(reader.fieldnames or [])
        return rows

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row; the file is written anew if it has new columns."""
        if row.keys() - set(self.header):
            rows = self.read()
            self.header += [name for name in row if name not in self.header]
            self.replace(rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.header).writerow(row)

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the file anew with the columns that were read, and these rows."""
        with (
            atomic_write(self.path, durable=False) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self.header)
            writer.writeheader()
            writer.writerows(rows)
