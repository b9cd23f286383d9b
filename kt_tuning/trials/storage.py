"""Storage of the checkpoints of trials on a cluster: a shared directory, or a URL."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any, Protocol

from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.core.extras import require_extra
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.trials.folder import Changes, Files, read_folder

IDENTITY = "storage.json"
"""File of a run directory with the name of its part of a storage."""


class Storage(Protocol):
    """Keeps folders by name; it is sent to the nodes."""

    def read(self, name: str) -> Files:
        """Return all files of a folder; none if it does not exist."""

    def write(self, name: str, changes: Changes) -> None:
        """Apply changes to a folder."""

    def remove(self, name: str) -> None:
        """Remove a folder, if it exists."""


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
