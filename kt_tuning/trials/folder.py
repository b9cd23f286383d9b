"""Snapshots of a trial's folder, and changes that are applied on another machine."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from kt_tuning.core.atomic import WRITING, atomic_write
from kt_tuning.trials.trial_files import COMMITS

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
