"""Batches made ahead of the training step, on threads.

PIL and NumPy let go of the interpreter while they work on pixels, so that threads make batches
beside a training step.
"""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from kt_tuning.data.batches import Batch
from kt_tuning.data.parallel import processors

MOST_THREADS = 8
"""More threads than this wait for each other."""
AHEAD = 2
"""Batches that are made ahead, a thread."""


def available_processors() -> int:
    """The processors that this process may compute with.

    A worker among several has a part of the machine, and is told so by OMP_NUM_THREADS.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(processors(), int(share)) if share.isdecimal() and int(share) else processors()


def reading_threads() -> int:
    """A thread for every two processors that this process may compute with, at least one."""
    return max(1, min(available_processors() // 2, MOST_THREADS))


class ReadAhead:
    """Hands out batches in order while the next ones are being made.

    At most `AHEAD` batches a thread wait in memory. At the end of an epoch the first batches of the
    next one are made. Leaving the context ends the threads.

    Args:
        read: (epoch, index) -> batch.
        batches: Batches in an epoch.
        threads: How many make batches; with 0, each is made when it is asked for.
    """

    def __init__(self, read: Callable[[int, int], Batch], batches: int, *, threads: int) -> None:
        self._read = read
        self._batches = batches
        self._pool = ThreadPoolExecutor(threads, "kt-tuning-loader") if threads else None
        self._room = AHEAD * threads
        self._ahead: collections.deque[Future[Batch]] = collections.deque()
        self._next = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._drop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def change(self, read: Callable[[int, int], Batch], batches: int) -> None:
        """Read other batches from now on; those that were made ahead are dropped.

        Args:
            read: (epoch, index) -> batch.
            batches: Batches in an epoch.
        """
        with self._lock:
            self._drop()
            self._read, self._batches = read, batches

    def take(self, epoch: int, index: int) -> Batch:
        """Return a batch, waiting for it if need be.

        Any may be asked for; the one that follows the last one is there soonest.

        Args:
            epoch: Counted from 0.
            index: Place in the epoch, from 0.
        """
        if self._pool is None:
            return self._read(epoch, index)
        place = epoch * self._batches + index
        with self._lock:
            if place != self._next:
                self._drop()
            while len(self._ahead) <= self._room:
                where = divmod(place + len(self._ahead), self._batches)
                self._ahead.append(self._pool.submit(self._read, *where))
            future = self._ahead.popleft()
            self._next = place + 1
        return future.result()

    def _drop(self) -> None:
        """Forget what was made ahead."""
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()
