"""The lock of a run directory: one process at a time. Not tested on Windows."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from kt_tuning.core.errors import StorageError, disk_errors_explained
from kt_tuning.run.layout import LOCK

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Nobody else can read what is locked on Windows: lock a byte far behind the text.
        os.lseek(descriptor, 2**30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 2**30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


logger = logging.getLogger("kt_tuning")


class _Held(threading.local):
    """The run directories that a thread holds."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_held = _Held()


@contextlib.contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Lock a run directory in the block, unless this thread holds it already or it is not there.

    For whatever writes into a run directory after the search, alone or as a part of a whole run.

    Raises:
        StorageError: as `run_lock` does, and if the block cannot read or write a file there.
    """
    free = path.resolve() in _held.paths or not path.is_dir()
    with contextlib.nullcontext() if free else run_lock(path), disk_errors_explained(path):
        yield


@contextlib.contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Lock a run directory in the block.

    The file stays; only whether a process holds it counts. The operating system releases the lock
    when this process ends, for whatever reason. Programs that this process starts do not hold it,
    since Python closes their copies of its files. On file systems without locks, such as some
    network drives, it warns and does not lock.

    Args:
        path: The run directory; it exists.

    Raises:
        StorageError: if another process holds it, or the directory cannot be written.
    """
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(open(path / LOCK, "a+", encoding="utf-8"))
        except OSError as error:
            raise StorageError(
                f"Cannot write {path / LOCK}: {error.strerror}. Choose another run directory."
            ) from error
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise StorageError(
                f"{path} is in use by {file.read() or 'another process'}: wait for it to end, or "
                "choose another project_name."
            ) from None
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): see to it that no other process searches there.",
                path,
                error.strerror,
            )
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on host {socket.gethostname()}")
        file.flush()
        place = path.resolve()
        _held.paths.add(place)
        try:
            yield
        finally:
            _held.paths.discard(place)
            # Closing would do, but for a fork that has a copy of the file.
            _unlock(file.fileno())
