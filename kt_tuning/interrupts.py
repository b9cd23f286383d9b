"""Ctrl-C that nothing swallows."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

AGAIN_SECONDS = 0.05


class Stopped(KeyboardInterrupt):
    """SIGTERM, where it stops a program in the same way as Ctrl-C."""


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that was raised where Python ignores exceptions.

    Signals are handled in whatever Python code the main thread runs. In a finalizer, or in a
    callback of the garbage collector as JAX has one, an exception is reported to
    `sys.unraisablehook` and the program goes on.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        stopped = issubclass(unraisable.exc_type, Stopped)
        number = signal.SIGTERM if stopped else signal.SIGINT
        # A little later, when the finalizer has returned.
        timer = threading.Timer(AGAIN_SECONDS, _thread.interrupt_main, [number])
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
