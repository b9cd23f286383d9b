"""Loading of batches for `keras.Model.fit` on any backend, with the time that training waits.

PIL and NumPy release the interpreter's lock while they work on pixels, so that threads can make
batches during a training step.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import keras

from kt_tuning.core.process import own_processors
from kt_tuning.data.batches import Batch, Batches
from kt_tuning.data.worker_pool import BatchProcesses

logger = logging.getLogger("kt_tuning")

DATA_WAIT = "data_wait"
"""Key of an epoch's logs: share of its training time spent waiting for data, in [0, 1]."""

START_SECONDS = 2.0
"""Waiting time after which processes are started, which takes about as long."""

ReadRun = Callable[[int, int], Sequence[Batch]]
"""(epoch, run) -> the batches of that run."""

MOST_THREADS = 8
"""Maximum number of threads; more would wait for each other."""
AHEAD = 2
"""Batches that a thread makes ahead; at least one run."""


class Loader(keras.utils.PyDataset):
    """A Keras dataset whose batches are made ahead of the training step.

    Threads make them at first. Processes take over once training has waited for as long as they
    take to start, if processors are idle. Batches are the same either way.

    Use it as a context, which ends threads and processes, together with `FollowEpochs`:

        with Loader(batches) as loader:
            model.fit(loader, shuffle=False, callbacks=[FollowEpochs(loader)])

    Args:
        batches: The batches to load.
        threads: Number of threads; `reading_threads()` if None. With 0 each batch is made when it
            is requested.

    Attributes:
        batch_size: Images a batch, see `resize`.
        processes: Number of processes that make batches now.
    """

    def __init__(self, batches: Batches, *, threads: int | None = None) -> None:
        # Keras starts no threads of its own for one worker.
        super().__init__(workers=1)
        self._batches = batches
        self._threads = reading_threads() if threads is None else threads
        self._source: Batches | BatchProcesses = batches
        self._open = contextlib.ExitStack()
        self.batch_size = batches.batch_size
        self._reader = self._new_reader()
        self.processes = 0
        self._decided = False
        self._epoch = 0
        self._watch = _Watch()
        self._waited = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()
        self._open.close()

    def __len__(self) -> int:
        return self._batches.count(self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch of the epoch."""
        asked = time.perf_counter()
        batch = self._reader.take(self._epoch, index)
        self._watch.handed_over(time.perf_counter() - asked)
        return batch

    def resize(self, batch_size: int) -> None:
        """Change the batch size, between two epochs."""
        self.batch_size = batch_size
        self._reader.close()
        self._reader = self._new_reader()

    def begin_epoch(self, epoch: int) -> None:
        """Start an epoch, counted from 0; called by the training thread."""
        idle = int(self._watch.idle)
        if idle and self._threads and not self._decided and self._waited >= START_SECONDS:
            self._decided = True
            self._start_processes(min(idle, reading_threads()))
        self._epoch = epoch
        self._watch = _Watch()

    def end_epoch(self) -> float | None:
        """Return the share of the time since `begin_epoch` that training waited, in [0, 1].

        None if unknown, as Keras on TensorFlow reads in a thread of its own.
        """
        share = self._watch.stop()
        self._waited += self._watch.waited
        return share

    def _start_processes(self, count: int) -> None:
        try:
            self._source = self._open.enter_context(BatchProcesses(self._batches, count))
        except Exception as error:  # out of memory, files or processes: threads go on
            logger.info("Batches are still made by threads: %s.", error)
            return
        self._reader.close()
        self._threads = self.processes = count
        self._reader = self._new_reader()

    def _new_reader(self) -> Prefetcher:
        read = functools.partial(self._source.read_run, batch_size=self.batch_size)
        run = self._batches.run_length(self.batch_size)
        return Prefetcher(read, len(self), run, threads=self._threads)


class _Watch:
    """Measures waiting and idle time of an epoch; made and stopped by the training thread.

    Attributes:
        waited: Seconds that requests for batches took, in all threads.
        idle: Mean number of idle processors; 0 before the end.
    """

    def __init__(self) -> None:
        self.waited = self.idle = 0.0
        self._trainer = threading.get_ident()
        self._readers: set[int] = set()
        self._began, self._computed = time.perf_counter(), time.process_time()

    def handed_over(self, seconds: float) -> None:
        """Add the time of a request for a batch."""
        self.waited += seconds
        self._readers.add(threading.get_ident())

    def stop(self) -> float | None:
        """Return the share of the time spent waiting; None if another thread waited."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        busy = (time.process_time() - self._computed) / seconds
        self.idle = max(0.0, own_processors() - busy)
        return min(1.0, self.waited / seconds) if self._readers == {self._trainer} else None


class FollowEpochs(keras.callbacks.Callback):
    """Starts and ends the epochs of a `Loader`, and adds `DATA_WAIT` to the logs.

    It should be the first callback, so that the time of the others does not count as training.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self._loader = loader

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch of the loader."""
        self._loader.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the share of waiting time to the logs."""
        wait = self._loader.end_epoch()
        if wait is not None and logs is not None:
            logs[DATA_WAIT] = wait


def reading_threads() -> int:
    """Return the default number of threads: one for two processors of this process, at least 1."""
    return max(1, min(own_processors() // 2, MOST_THREADS))


class Prefetcher:
    """Returns batches in order while threads make the next ones, in runs of several.

    At most `AHEAD` batches or one run a thread are in memory, besides the current run. At the end
    of an epoch the first batches of the next one are made. `close` ends the threads.

    Args:
        read: (epoch, run) -> its batches.
        batches: Number of batches in an epoch.
        run: Number of batches in a run; the last run of an epoch may have fewer.
        threads: Number of threads; with 0 batches are made when they are requested.
    """

    def __init__(self, read: ReadRun, batches: int, run: int = 1, *, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "kt-tuning-loader") if threads else None
        self._read, self._run, self._runs = read, run, math.ceil(batches / run)
        self._room = threads * max(1, AHEAD // run)
        self._ahead: collections.deque[Future[Sequence[Batch]]] = collections.deque()
        self._next = 0
        self._current: Future[Sequence[Batch]] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the threads, and drop the batches that were made ahead."""
        with self._lock:
            self._drop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def take(self, epoch: int, index: int) -> Batch:
        """Return a batch, after waiting for it if necessary; epoch and index count from 0.

        Any batch can be requested; the one after the last one is ready first.
        """
        run, place = divmod(index, self._run)
        # Runs are counted from the first epoch on.
        wanted = epoch * self._runs + run
        with self._lock:
            current = self._current
            if current is None or wanted != self._next - 1:
                if wanted != self._next:
                    self._drop()
                while len(self._ahead) <= self._room:
                    self._ahead.append(self._begin(*divmod(wanted + len(self._ahead), self._runs)))
                current = self._current = self._ahead.popleft()
                self._next = wanted + 1
        return current.result()[place]

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
