"""Threads that make batches ahead of the training step.

PIL and NumPy release the interpreter's lock while they work on pixels, so that threads can make
batches during a training step.
"""

from __future__ import annotations

import collections
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from kt_tuning.core.process import own_processors
from kt_tuning.data.batches import Batch

ReadRun = Callable[[int, int], Sequence[Batch]]
"""(epoch, run) -> the batches of that run."""

MOST_THREADS = 8
"""Maximum number of threads; more would wait for each other."""
AHEAD = 2
"""Batches that a thread makes ahead; at least one run."""


def reading_threads() -> int:
    """Return the default number of threads: one for two processors of this process, at least 1."""
    return max(1, min(own_processors() // 2, MOST_THREADS))


class Prefetcher:
    """Returns batches in order while threads make the next ones, in runs of several.

    At most `AHEAD` batches or one run a thread are in memory, besides the current run. At the end
    of an epoch the first batches of the next one are made. Leaving the context ends the threads.

    Args:
        read: (epoch, run) -> its batches.
        batches: Number of batches in an epoch.
        run: Number of batches in a run; the last run of an epoch may have fewer.
        threads: Number of threads; with 0 batches are made when they are requested.
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
        """Read other batches from now on, and drop those that were made ahead.

        Args:
            read: (epoch, run) -> its batches.
            batches: Number of batches in an epoch.
            run: Number of batches in a run.
        """
        with self._lock:
            self._drop()
            self._set(read, batches, run)

    def _set(self, read: ReadRun, batches: int, run: int) -> None:
        self._read, self._run, self._runs = read, run, math.ceil(batches / run)
        self._room = self._threads * max(1, AHEAD // run)

    def take(self, epoch: int, index: int) -> Batch:
        """Return a batch, after waiting for it if necessary.

        Any batch can be requested; the one after the last one is ready first.

        Args:
            epoch: Counted from 0.
            index: Index in the epoch, from 0.
        """
        run, place = divmod(index, self._run)
        with self._lock:
            future = self._begun(epoch * self._runs + run)
        return future.result()[place]

    def _begun(self, wanted: int) -> Future[Sequence[Batch]]:
        """Return a run, counted from the first epoch on, and start the next ones."""
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
        """Drop the batches that were made ahead."""
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()
        self._current = None
