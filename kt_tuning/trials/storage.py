"""Folders of trials: snapshots, changes, and their storage while trials run on a cluster.

A storage is a directory that all nodes share, or a URL that fsspec understands.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import WRITING, atomic_write
from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.core.extras import require_extra
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.trials.trial_files import COMMITS

IDENTITY = "storage.json"
"""File of a run directory with the name of its part of a storage."""

Files = Mapping[str, bytes]
"""Contents by path in the folder, in the order in which they must be written."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """Changes of a folder.

    Attributes:
        written: New and changed files.
        removed: Paths of removed files.
    """

    written: Files = dataclasses.field(default_factory=dict)
    removed: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Apply the changes to `folder`.

        A kill leaves a state that a kill in the original folder could have left: each file is
        complete, and files that refer to others are written after them.
        """
        for name, content in self.written.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=True, sync_name=path.name in COMMITS) as temporary:
                temporary.write_bytes(content)
        for name in self.removed:
            (folder / name).unlink(missing_ok=True)
            # Only an empty folder is removed.
            with contextlib.suppress(OSError):
                if "/" in name:
                    (folder / name).parent.rmdir()


def read_folder(folder: Path) -> Files:
    """Return all files in `folder`; none if it does not exist."""
    return {name: (folder / name).read_bytes() for name in _stamps(folder)}


class Watch:
    """Reports changes of a folder since the last report.

    Args:
        folder: The folder in its present state.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _stamps(folder)

    def changes(self) -> Changes:
        """Return the changes since the last call, or since construction."""
        known, self._known = self._known, _stamps(self._folder)
        return Changes(
            {
                name: (self._folder / name).read_bytes()
                for name, stamp in self._known.items()
                if known.get(name) != stamp
            },
            tuple(name for name in known if name not in self._known),
        )


class DirectoryStorage:
    """A directory with the same path on all nodes.

    Args:
        root: The directory; made if missing.

    Raises:
        StorageError: if it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot write the storage {root}: {error.strerror}. Choose another one."
            ) from error

    def read(self, name: str) -> Files:
        """Return all files of a folder; none if it does not exist."""
        return read_folder(self._root / name)

    def write(self, name: str, changes: Changes) -> None:
        """Apply changes to a folder."""
        changes.apply(self._root / name)

    def remove(self, name: str) -> None:
        """Remove a folder, if it exists."""
        shutil.rmtree(self._root / name, ignore_errors=True)


class UrlStorage:
    """A folder of an object store, or of another storage that fsspec knows.

    Args:
        url: Such as s3://bucket/folder.

    Raises:
        MissingExtraError: if a package is not installed.
        OptionError: if fsspec does not know the URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._open()

    def _open(self) -> tuple[Any, str]:
        """Return the file system, which fsspec caches, and the path in it."""
        require_extra("A storage with a URL", "ray", "fsspec")
        import fsspec

        try:
            system, root = fsspec.core.url_to_fs(self._url)
        except ImportError as error:
            raise MissingExtraError(f"The storage {self._url} needs a package: {error}") from error
        except ValueError as error:
            raise OptionError(
                f"fsspec does not understand the storage {self._url}: {error}"
            ) from error
        # Other processes write there as well.
        system.invalidate_cache()
        return system, root

    def read(self, name: str) -> Files:
        """Return all files of a folder; none if it does not exist."""
        system, root = self._open()
        folder = f"{root}/{name}"
        if not system.exists(folder):
            return {}
        return {
            path.removeprefix(f"{folder}/"): system.cat_file(path) for path in system.find(folder)
        }

    def write(self, name: str, changes: Changes) -> None:
        """Apply changes to a folder."""
        system, root = self._open()
        for file, content in changes.written.items():
            path = f"{root}/{name}/{file}"
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, content)
        for file in changes.removed:
            path = f"{root}/{name}/{file}"
            if system.exists(path):
                system.rm_file(path)

    def remove(self, name: str) -> None:
        """Remove a folder, if it exists."""
        system, root = self._open()
        if system.exists(f"{root}/{name}"):
            system.rm(f"{root}/{name}", recursive=True)


Storage = DirectoryStorage | UrlStorage
"""Keeps folders by name; it is sent to the nodes."""


def open_storage(place: str, run: Path) -> Storage:
    """Return the part of a storage that belongs to a run directory alone.

    Args:
        place: A directory, or a URL that fsspec understands.
        run: The run directory.

    Raises:
        MissingExtraError: if the URL needs a package that is not installed.
        OptionError: if fsspec does not know the URL.
        StorageError: if the directory cannot be written.
    """
    path = run / IDENTITY
    known = path.exists()
    name = read_json(path)["name"] if known else f"{run.name}-{uuid.uuid4().hex}"
    opened: Storage
    if "://" in place:
        opened = UrlStorage(f"{place.rstrip('/')}/{name}")
    else:
        opened = DirectoryStorage(Path(place).expanduser().absolute() / name)
    if not known:
        # Last, so a refused storage leaves nothing in the run directory.
        write_json(path, {"name": name})
    return opened


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return time, inode and size of each file, in the order in which files must be written.

    The inode identifies a file that is replaced within a tick of the clock.
    """
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(WRITING):
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            found[name] = (status.st_mtime_ns, status.st_ino, status.st_size)
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[1])))


def _rank(name: str) -> int:
    base = name.rpartition("/")[2]
    return COMMITS.index(base) + 1 if base in COMMITS else 0
