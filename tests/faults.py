"""Faults at a chosen instant of a job in this process: a power loss, a kill, a full disk.

An instant is an operation on a file below a folder: opening it for writing, flushing it, renaming
or deleting it, making a folder, and committing to a SQLite database. After a power loss or a kill
the job is left by a `CrashError`; what its clean-up does to the files then does not count, as
`image` was taken before. Code that writes files without Python's help, such as HDF5's, has no
instants of its own: its files are flushed and renamed by code that has.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import errno
import io
import os
import random
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

POWER_LOSS, KILL, INTERRUPT, CLOCK, SECOND = "power loss", "kill", "interrupt", "clock", "second"
ERRORS = {
    "ENOSPC": "database or disk is full",
    "EIO": "disk I/O error",
    "EACCES": "attempt to write a readonly database",
}
"""By the name of the error's number: what SQLite says."""
KINDS = (POWER_LOSS, KILL, INTERRUPT, CLOCK, SECOND, *ERRORS)
JUMPS = (-1e8, -4000.0, 4000.0, 1e8)
"""Seconds by which the clock may jump."""

Image = dict[str, bytes | None]
"""Content of each file by its path in a folder; None for a folder."""


class CrashError(BaseException):
    """The process is dead."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        kind: One of `KINDS`. "interrupt" is a `KeyboardInterrupt` at a call of a function of
            kt_tuning; "second" is another process that does the same at the same time.
        at: When, as a share of the instants (of the calls) of a job without faults, in [0, 1).
        seed: Of what is random: what survives a power loss, whether an error stays, the jump.
    """

    kind: str
    at: float
    seed: int = 0


class Faults:
    """Causes a fault in the block, and counts instants.

    Args:
        folder: The files below it are looked at.
        fault: None to count only.
        instants: Of a job without faults.
        calls: Of functions of kt_tuning in such a job.
        second: What a second process does.

    Attributes:
        instants: Until now.
        calls: Until now, if they are counted: without a fault, or with "interrupt".
        image: The files that a power loss or a kill has left; None if there was none.
        struck: Whether the fault has been caused.
    """

    def __init__(
        self,
        folder: Path,
        fault: Fault | None = None,
        *,
        instants: int = 0,
        calls: int = 0,
        second: Callable[[], None] = lambda: None,
    ) -> None:
        self.instants = self.calls = 0
        self.image: Image | None = None
        self.struck = False
        self._folder = folder
        self._kind = None if fault is None else fault.kind
        self._random = random.Random(0 if fault is None else fault.seed)
        total = calls if self._kind == INTERRUPT else instants
        self._at = -1 if fault is None else int(fault.at * total)
        self._stays = self._random.random() < 0.5
        self._second = second
        self._jump = 0.0
        self._over = False
        self._disk = _Disk(folder) if self._kind == POWER_LOSS else None
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        """Cause the fault in the block."""
        patches = [
            *(
                mock.patch.object(module, "open", self._opening(io.open))
                for module in (builtins, io)
            ),
            mock.patch.object(os, "fsync", self._fsync),
            *(
                mock.patch.object(os, name, self._changing(getattr(os, name)))
                for name in ("replace", "rename", "unlink", "remove", "mkdir", "rmdir")
            ),
            mock.patch.object(sqlite3, "connect", self._connecting(sqlite3.connect)),
            mock.patch.object(time, "time", self._telling(time.time)),
        ]
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            if self._kind in (None, INTERRUPT):
                stack.callback(sys.setprofile, None)
                sys.setprofile(self._called)
            if self._disk is not None:
                stack.callback(self._disk.close)
            yield

    def _instant(self, path: str | Path, *, deletes: bool = False) -> None:
        """Note an operation on a file before it happens; instead of it the fault may."""
        if self._over or threading.get_ident() != self._thread:
            return
        if not Path(path).is_relative_to(self._folder):
            return
        now = self.instants == self._at and not self.struck
        self.instants += 1
        if now and self._kind != INTERRUPT:
            self.struck = True
        if self._kind in ERRORS:
            # A full disk can still be emptied.
            lasts = self.struck and self._stays and not (deletes and self._kind == "ENOSPC")
            if now or lasts:
                number = getattr(errno, self._kind)
                raise OSError(number, os.strerror(number), str(path))
        elif now and self._kind in (POWER_LOSS, KILL):
            self._over = True
            self.image = self._disk.image(self._random) if self._disk else read(self._folder)
            raise CrashError
        elif now and self._kind == CLOCK:
            self._jump = self._random.choice(JUMPS)
        elif now and self._kind == SECOND:
            with futures.ThreadPoolExecutor(1) as other:
                other.submit(self._second).result()

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or "kt_tuning" not in frame.f_code.co_filename:
            return
        self.calls += 1
        if self.calls - 1 == self._at and not self.struck:
            self.struck = True
            raise KeyboardInterrupt

    def _opening(self, opens: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not isinstance(file, int) and set(mode) & set("wax+"):
                self._instant(os.fsdecode(file))
            return opens(file, mode, *arguments, **options)

        return opened

    def _fsync(self, descriptor: int) -> None:
        """Flush nothing: what this process writes is never lost, and the disk takes long."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self._instant(path)
        if self._disk is not None and not self._over:
            self._disk.flush(descriptor, path)

    def _changing(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(path: Any, *arguments: Any, dir_fd: int | None = None, **options: Any) -> Any:
            whole = os.fsdecode(path)
            if dir_fd is not None:
                whole = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), whole)
                options["dir_fd"] = dir_fd
            deletes = change.__name__ in ("unlink", "remove", "rmdir")
            self._instant(whole, deletes=deletes)
            return change(path, *arguments, **options)

        return changed

    def _connecting(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        instant = self._instant

        def connected(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
            class Connection(sqlite3.Connection):
                def commit(self) -> None:
                    try:
                        instant(path)
                    except OSError as error:
                        name = errno.errorcode[error.errno or 0]
                        raise sqlite3.OperationalError(ERRORS[name]) from None
                    super().commit()

            return connect(path, *arguments, factory=Connection, **options)

        return connected

    def _telling(self, tell: Callable[[], float]) -> Callable[[], float]:
        return lambda: tell() + self._jump


class _Disk:
    """A file system that loses what was not flushed by `os.fsync`, data and names.

    Flushed are the data of a file and the names in a folder. What was not may survive as well: of
    each folder the names of now, of each file the data of now or a part of them. SQLite flushes a
    database by itself when it is closed; until then it has what was committed when kt_tuning
    flushed its log the last time, or all.

    Args:
        folder: Whatever is there now is flushed.
    """

    def __init__(self, folder: Path) -> None:
        self._open: dict[int, int] = {}
        self._data: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._root = self._hold(folder)
        for path in (folder, *folder.rglob("*")):
            inode = self._hold(path)
            if path.is_dir():
                self._names[inode] = self._entries(inode)
            else:
                self._data[inode] = self._content(inode)

    def _hold(self, path: str | Path, folder: int | None = None) -> int:
        """Open a file, so that no later one gets its number, which is returned."""
        descriptor = os.open(path, os.O_RDONLY, dir_fd=folder)
        inode = os.fstat(descriptor).st_ino
        if inode in self._open:
            os.close(descriptor)
        self._open.setdefault(inode, descriptor)
        return inode

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def _entries(self, inode: int) -> dict[str, int]:
        descriptor = self._open[inode]
        return {name: self._hold(name, descriptor) for name in os.listdir(descriptor)}

    def _content(self, inode: int) -> bytes:
        descriptor = self._open[inode]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def flush(self, descriptor: int, path: str) -> None:
        inode = self._hold(f"/proc/self/fd/{descriptor}")
        if os.path.isdir(path):
            self._names[inode] = self._entries(inode)
            return
        self._data[inode] = self._content(inode)
        if path.endswith("-wal"):
            database = self._hold(path.removesuffix("-wal"))
            self._data[database] = self._content(database)

    def image(self, rng: random.Random) -> Image:
        """Return what survives now: nothing but what was flushed, or by chance more."""
        found: Image = {}
        luck = rng.choice((0.0, 0.5))
        committed = rng.random() < luck

        def restore(inode: int, place: str) -> None:
            now = self._entries(inode)
            names = now if rng.random() < luck else self._names.get(inode, {})
            for name, entry in sorted(names.items()):
                path = f"{place}{name}"
                logged = [log for log in now if log.endswith("-wal")]
                if stat.S_ISDIR(os.fstat(self._open[entry]).st_mode):
                    found[path] = None
                    restore(entry, f"{path}/")
                elif name.endswith((".db", "-wal")):
                    whole = committed or not logged
                    if name in now:
                        found[path] = self._content(entry) if whole else self._data.get(entry, b"")
                elif not name.endswith("-shm"):
                    found[path] = self._survives(entry, rng, luck)

        restore(self._root, "")
        return found

    def _survives(self, inode: int, rng: random.Random, luck: float) -> bytes:
        flushed, now = self._data.get(inode, b""), self._content(inode)
        if rng.random() >= luck:
            return flushed
        return now[: rng.choice((len(flushed), (len(flushed) + len(now)) // 2, len(now)))]


def read(folder: Path) -> Image:
    """Return the files and folders in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def write(image: Image, folder: Path) -> None:
    """Make a folder with these files and folders."""
    folder.mkdir(parents=True)
    for name, content in sorted(image.items()):
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
