"""Batches made ahead of the training step, on threads.

PIL and NumPy let go of the interpreter while they work on pixels, so that threads make batches
beside a training step.
"""

from __future__ import annotations

import collections
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from kt_tuning.core.processors import own_processors
from kt_tuning.data.batches import Batch

ReadRun = Callable[[int, int], Sequence[Batch]]
"""(epoch, run) -> the batches of that run."""

MOST_THREADS = 8
"""More threads than this wait for each other."""
AHEAD = 2
"""Batches that are made ahead, a thread; a run, if that has more."""


def reading_threads() -> int:
    """A thread for every two processors that this process may compute with, at least one."""
    return max(1, min(own_processors() // 2, MOST_THREADS))


class Prefetcher:
    """Hands out batches in order while the next ones are being made, a run of several at a time.

    At most `AHEAD` batches or one run a thread wait in memory, besides the run that is handed out.
    At the end of an epoch the first batches of the next one are made. Leaving the context ends the
    threads.

    Args:
        read: (epoch, run) -> its batches.
        batches: Batches in an epoch.
        run: Batches in a run, but for the last one of an epoch, which has what is left.
        threads: How many make batches; with 0, they are made when they are asked for.
    """

    def __init__(self, read: ReadRun, batches: int, run: int = 1, *, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "kt-tuning-loader") if threads else None
        self._threads = threads
        self._set(read, batches, run)
        self._ahead: collections.deque[Future[Sequence[Batch]]] = collections.deque()
        self._next = 0
        self._current: Future[Sequence[Batch]] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._drop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def change(self, read: ReadRun, batches: int, run: int = 1) -> None:
        """Read other batches from now on; those that were made ahead are dropped.

        Args:
            read: (epoch, run) -> its batches.
            batches: Batches in an epoch.
            run: Batches in a run.
        """
        with self._lock:
            self._drop()
            self._set(read, batches, run)

    def _set(self, read: ReadRun, batches: int, run: int) -> None:
        self._read, self._run, self._runs = read, run, math.ceil(batches / run)
        self._room = self._threads * max(1, AHEAD // run)

    def take(self, epoch: int, index: int) -> Batch:
        """Return a batch, waiting for it if need be.

        Any may be asked for; the one that follows the last one is there soonest.

        Args:
            epoch: Counted from 0.
            index: Place in the epoch, from 0.
        """
        run, place = divmod(index, self._run)
        with self._lock:
            future = self._begun(epoch * self._runs + run)
        return future.result()[place]

    def _begun(self, wanted: int) -> Future[Sequence[Batch]]:
        """The run that is wanted, counted from the first epoch on; the next ones are begun, too."""
        if self._current is not None and wanted == self._next - 1:
            return self._current
        if wanted != self._next:
            self._drop()
        while len(self._ahead) <= self._room:
            self._ahead.append(self._begin(*divmod(wanted + len(self._ahead), self._runs)))
        self._current, self._next = self._ahead.popleft(), wanted + 1
        return self._current

    def _begin(self, epoch: int, run: int) -> Future[Sequence[Batch]]:
        if self._pool is not None:
            return self._pool.submit(self._read, epoch, run)
        made: Future[Sequence[Batch]] = Future()
        made.set_result(self._read(epoch, run))
        return made

    def _drop(self) -> None:
        """Forget what was made ahead."""
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()
        self._current = None
