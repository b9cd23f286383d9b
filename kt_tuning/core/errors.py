"""The exceptions of kt-tuning.

Every message says what was received, what was expected and what to do. The command line prints the
message without a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
from collections.abc import Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_MESSAGES = (
    *("No space left on device", "Disk quota exceeded"),
    *("database or disk is full", " requested and "),
)
"""Parts of the messages of HDF5, TensorFlow, SQLite and NumPy ("80 requested and 8 written") for a
full disk; their errors have no error number."""


class KtTuningError(Exception):
    """Base class of all exceptions of kt-tuning."""


class DataError(KtTuningError, ValueError):
    """Images or labels are missing, unreadable, mismatched or too few."""


class OptionError(KtTuningError, ValueError):
    """An argument or command-line option has an invalid value."""


class StorageError(KtTuningError, OSError):
    """A file or folder is missing, not writable or damaged, or has unexpected content."""


class OtherSearchError(StorageError, RuntimeError):
    """A run directory contains another search; KerasTuner raises a RuntimeError."""


class SearchError(KtTuningError, RuntimeError):
    """There is no result to continue with: every trial failed, or no trial has finished yet."""


class ExportError(KtTuningError, RuntimeError):
    """A model cannot be exported, or the export predicts differently from the model."""


class MissingExtraError(KtTuningError, ImportError):
    """An optional dependency is missing; the message contains the `pip install` command."""


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether a full disk or an exhausted quota caused an error of any library."""
    while error is not None:
        text = str(error)
        if getattr(error, "errno", None) in FULL or any(part in text for part in FULL_MESSAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def disk_errors_explained(folder: str | Path) -> Iterator[None]:
    """Convert errors of the disk in the block to a StorageError.

    Args:
        folder: The folder that the block writes; the message names it if the error names no file.

    Raises:
        StorageError: if the disk is full or the quota exhausted, or a file in the folder cannot be
            read or written.
    """
    try:
        yield
    except KtTuningError:
        raise
    except Exception as error:
        name = getattr(error, "filename", None)
        if is_disk_full(error):
            raise StorageError(
                f"The disk is full: cannot write {name or folder}. Free some space and start the "
                "same command again: finished trials are kept."
            ) from error
        if isinstance(error, OSError) and Path(str(name)).is_relative_to(folder):
            raise StorageError(
                f"Cannot read or write {name}: {error.strerror}. Correct that and start the same "
                "command again: finished trials are kept."
            ) from error
        raise


def require_extra(purpose: str, extra: str, *packages: str) -> None:
    """Refuse to go on without the packages of an extra. Nothing is imported.

    Args:
        purpose: What needs them, as the subject of the message: "The tracker 'wandb'".
        extra: The extra in setup.cfg that installs them.
        *packages: Their import names; by default that of the extra.

    Raises:
        MissingExtraError: if one is missing.
    """
    needed = packages or (extra,)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise missing_extra(purpose, extra, *missing)


def missing_extra(purpose: str, extra: str, *packages: str) -> MissingExtraError:
    """Return the error that says what to install; see `require_extra`."""
    noun = "package" if len(packages) == 1 else "packages"
    return MissingExtraError(
        f"{purpose} needs the {noun} {', '.join(packages)}: pip install 'kt-tuning[{extra}]'"
    )
