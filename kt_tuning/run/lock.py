"""The lock of a run directory: one process at a time. Not tested on Windows."""

from __future__ import annotations

import logging
import os
import socket
import sys
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

from kt_tuning.core.errors import StorageError
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


class RunLock:
    """Locks a run directory for the duration of its `with` block.

    The file stays; only whether a process holds it counts. The operating system releases the lock
    when this process ends, for whatever reason. Programs that this process starts do not hold it,
    since Python closes their copies of its files. On file systems without locks, such as some
    network drives, it warns and does not lock.

    Args:
        path: The run directory; it exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            StorageError: if another process holds it, or the directory cannot be written.
        """
        try:
            file = open(self._path / LOCK, "a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"Cannot write {self._path / LOCK}: {error.strerror}. Choose another run directory."
            ) from error
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):
            with file:
                file.seek(0)
                owner = file.read()
            raise StorageError(
                f"{self._path} is in use by {owner or 'another process'}: wait for it to end, or "
                "choose another project_name."
            ) from None
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): see to it that no other process searches there.",
                self._path,
                error.strerror,
            )
            file.close()
            return self
        self._file = file
        file.truncate(0)
        file.write(f"process {os.getpid()} on host {socket.gethostname()}")
        file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the lock."""
        if self._file is not None:
            with self._file as file:
                # Closing would do, but for a fork that has a copy of the file.
                _unlock(file.fileno())
            self._file = None
