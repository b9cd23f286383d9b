"""The end of a command that is stopped by Ctrl-C, SIGTERM, a kill or an error."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import typer

from kt_tuning.core.errors import KtTuningError, is_disk_full
from kt_tuning.core.names import printable
from kt_tuning.core.process import Stopped, interrupts_kept

HINT = (
    "kt-tuning was killed by a signal: {advice} Finished results are kept: the same command "
    "continues from there."
)
WATCH = 'read -r end || printf "%s\\n" "$1" >&2'
"""A shell script that prints its argument if its standard input closes without a line."""


@contextlib.contextmanager
def on_interrupt(way_on: Callable[[], str]) -> Iterator[None]:
    """Add to the message of a command that is interrupted in the block.

    Args:
        way_on: Returns the text after "To continue, run the same command again".
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise type(stop)(way_on()) from None


def stoppable(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a command that ends with one line and the right status when it is stopped.

    The status is 130 after Ctrl-C, 143 after SIGTERM, 2 after an error that the user can correct.
    """

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with _terminable(), interrupts_kept(), _watched():
                verb(*args, **kwargs)
        except KeyboardInterrupt as stop:
            _interrupted(stop)
        except Exception as error:
            if not _is_users(error):
                raise
            print(printable(f"error: {_message(error)}"), file=sys.stderr)
            raise typer.Exit(2) from error

    return run


def _interrupted(stop: KeyboardInterrupt) -> NoReturn:
    """Print how to continue; a second Ctrl-C does not interrupt the end of the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # only the main thread may
            signal.signal(number, signal.SIG_IGN)
    way_on = stop.args[0] if stop.args else "."
    print(f"Interrupted. To continue, run the same command again{way_on}", file=sys.stderr)
    number = signal.SIGTERM if isinstance(stop, Stopped) else signal.SIGINT
    raise typer.Exit(128 + number) from None


def _is_users(error: Exception) -> bool:
    """Return whether the user can correct the cause of an error without our code."""
    # Typer would print "Aborted." for an EOFError.
    if isinstance(error, (KtTuningError, OSError, EOFError)) or is_disk_full(error):
        # Typer handles a closed pipe, as by `head`.
        return not isinstance(error, BrokenPipeError)
    # Raised in a hypermodel to end the search. KerasTuner need not have been imported.
    tuner = sys.modules.get("keras_tuner")
    return tuner is not None and isinstance(error, tuner.errors.FatalError)


def _message(error: Exception) -> str:
    if is_disk_full(error) and not isinstance(error, KtTuningError):
        name = getattr(error, "filename", None)
        where = f": cannot write {name}" if name else ""
        return f"The disk is full{where}. Free some space and run the same command again. {error}"
    if isinstance(error, EOFError):
        return f"A file is cut short: {error}"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Raise `Stopped` on SIGTERM, in the main thread."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Stopped

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Report a death by a signal: Python prints where, and a shell that remains what to try."""
    from kt_tuning.execution.executor import crash_hint

    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError, ValueError):  # standard error is no file
            faulthandler.enable(all_threads=False)
    if sys.platform == "win32":
        yield
        return
    with subprocess.Popen(
        ["/bin/sh", "-c", WATCH, "sh", HINT.format(advice=crash_hint())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as shell:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                shell.communicate(b"ended\n")
