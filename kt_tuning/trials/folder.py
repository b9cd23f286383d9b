"""The folder of a trial as bytes: what has changed in it is sent, and made to happen elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from kt_tuning.records import WRITING, replacing
from kt_tuning.trials.trial_files import COMMITS

Files = Mapping[str, bytes]
"""Contents by path within the folder, in the order in which they have to be written."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """What has happened in a folder.

    Attributes:
        written: New and changed files.
        removed: Paths of those that are gone.
    """

    written: Files = dataclasses.field(default_factory=dict)
    removed: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Make them happen in `folder`.

        A kill in between leaves what a kill where they come from could have left, too: each file is
        whole, and those that speak of others come after them.
        """
        for name, content in self.written.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        for name in self.removed:
            (folder / name).unlink(missing_ok=True)
            # A folder that is empty now; others stay.
            with contextlib.suppress(OSError):
                if "/" in name:
                    (folder / name).parent.rmdir()


def read_folder(folder: Path) -> Files:
    """All files in `folder`; none if it is not there."""
    return {name: (folder / name).read_bytes() for name in _stamps(folder)}


class Watch:
    """Tells what has changed in a folder since it was last asked.

    Args:
        folder: The folder, as it is now.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _stamps(folder)

    def changes(self) -> Changes:
        """What has happened since the last call, or since this was made."""
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
    """What changes when a file is written, in the order in which files have to be written.

    A file that is replaced within a tick of the clock is another one nevertheless.
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
