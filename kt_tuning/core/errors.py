"""Errors, named by what the caller does next.

Every message says what was received, what was expected and the fix. The command line prints the
message alone, without a traceback.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_MESSAGES = (
    *("No space left on device", "Disk quota exceeded"),
    *("database or disk is full", " requested and "),
)
"""What HDF5, TensorFlow, SQLite and NumPy ("80 requested and 8 written") say of a full disk, in
errors that have no error number."""


class KtTuningError(Exception):
    """The base of every error that kt-tuning raises on purpose."""


class DataError(KtTuningError, ValueError):
    """The images or labels need fixing: missing, unreadable, mismatched or too few."""


class OptionError(KtTuningError, ValueError):
    """An argument or command-line option needs another value."""


class StorageError(KtTuningError, OSError):
    """A path needs fixing: not there, not writable, or holding something else."""


class SearchError(KtTuningError, RuntimeError):
    """The search cannot go on: every trial failed, or nothing has finished yet."""


class ExportError(KtTuningError, RuntimeError):
    """An exported model does not behave as the trained one, or cannot be read."""


class MissingExtraError(KtTuningError, ImportError):
    """An optional dependency is needed: the message has the `pip install` line."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk or a used-up quota caused an error, whichever library raised it."""
    while error is not None:
        text = str(error)
        if getattr(error, "errno", None) in FULL or any(part in text for part in FULL_MESSAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def full_disk_explained(folder: str | Path) -> Iterator[None]:
    """Raise a StorageError in place of whatever error a full disk causes in the block.

    Args:
        folder: Where the block writes; the message names it if the error names no file.
    """
    try:
        yield
    except KtTuningError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise StorageError(
            f"The disk is full: cannot write {getattr(error, 'filename', None) or folder}. Free "
            "some space and start the same again: what was finished before is kept."
        ) from error
