"""Loading of batches for `keras.Model.fit` on any backend, with the time that training waits."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from typing import Self

import keras

from kt_tuning.core.process import own_processors
from kt_tuning.data.batches import Batch, Batches
from kt_tuning.data.prefetch import (
    Prefetcher,
    ReadRun,
    reading_threads,
)
from kt_tuning.data.worker_pool import BatchProcesses

logger = logging.getLogger("kt_tuning")

DATA_WAIT = "data_wait"
"""Key of an epoch's logs: share of its training time spent waiting for data, in [0, 1]."""

START_SECONDS = 2.0
"""Waiting time after which processes are started, which takes about as long."""


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
        self._open = contextlib.ExitStack()
        self._source: Batches | BatchProcesses = batches
        self.batch_size = batches.batch_size
        self._reader = self._read_ahead(self._threads)
        self.processes = 0
        self._decided = False
        self._epoch = 0
        self._watch = _Watch()
        self._waited = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
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
        self._reader.change(*self._source_of_runs())

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
            processes = BatchProcesses(self._batches, count)
        except Exception as error:  # out of memory, files or processes: threads go on
            logger.info("Batches go on being made by threads: %s.", error)
            return
        self._open.close()
        self._open.enter_context(processes)
        self._source = processes
        self._reader = self._read_ahead(count)
        self.processes = count

    def _source_of_runs(self) -> tuple[ReadRun, int, int]:
        """Return the arguments of `Prefetcher`."""
        read = functools.partial(self._source.read_run, batch_size=self.batch_size)
        return read, len(self), self._batches.run_length(self.batch_size)

    def _read_ahead(self, threads: int) -> Prefetcher:
        return self._open.enter_context(Prefetcher(*self._source_of_runs(), threads=threads))


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
