"""This process: its share of the processors, and interrupts (Ctrl-C, SIGTERM) that always work."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import CodeType
from typing import Any

POLL_SECONDS = 0.01


class Stopped(KeyboardInterrupt):
    """Raised for SIGTERM where it stops a program in the same way as Ctrl-C."""


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise a KeyboardInterrupt again within the block if Python has ignored it.

    Python handles signals in the code that the main thread is running. In a finalizer or a callback
    of the garbage collector (JAX registers one), an exception is only reported to
    `sys.unraisablehook`, and the program goes on.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        stopped = issubclass(unraisable.exc_type, Stopped)
        number = signal.SIGTERM if stopped else signal.SIGINT
        again = threading.Thread(target=_interrupt, args=(number, hook.__code__), daemon=True)
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt(number: signal.Signals, hook: CodeType) -> None:
    """Send the main thread a signal after it has left the hook, where it would be ignored again."""
    main = threading.main_thread().ident
    assert main is not None
    while _runs(hook, main):
        time.sleep(POLL_SECONDS)
    if hasattr(signal, "pthread_kill"):
        # Unlike `interrupt_main` it interrupts a blocking call.
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(number)


def _runs(code: CodeType, thread: int) -> bool:
    """Return whether a function is on the call stack of a thread."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def count_processors() -> int:
    """Return the number of processors that this process may run on (its CPU affinity)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def own_processors() -> int:
    """Return this process' share of the processors.

    A worker process gets its share as OMP_NUM_THREADS; other processes may use all.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    count = count_processors()
    return min(count, int(share)) if share.isdecimal() and int(share) else count
