"""Batches for `keras.Model.fit`, on any backend, and how long training waits for them."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from typing import Self

import keras

from kt_tuning.core.processors import own_processors
from kt_tuning.data.batches import Batch, Batches
from kt_tuning.data.prefetch import (
    Prefetcher,
    ReadRun,
    reading_threads,
)
from kt_tuning.data.worker_pool import BatchProcesses

logger = logging.getLogger("kt_tuning")

DATA_WAIT = "data_wait"
"""Share of an epoch's training that was spent waiting for data, among the logs of the epoch."""

START_SECONDS = 2.0
"""What processes take to start: so long training may wait before they are."""


class Loader(keras.utils.PyDataset):
    """Batches that are made ahead of the training step.

    They are made on threads. Once training has waited for them as long as processes take to start,
    and there are idle processors, they are made by processes. Batches are the same either way.

    Use it as a context, which ends threads and processes however training ends, and with
    `FollowEpochs`:

        with Loader(batches) as loader:
            model.fit(loader, shuffle=False, callbacks=[FollowEpochs(loader)])

    Args:
        batches: What to load.
        threads: How many make batches; `reading_threads()` if None; with 0, none does, and each
            batch is made when it is asked for.

    Attributes:
        batch_size: Images a batch, see `resize`.
        processes: How many make batches now.
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
        """Make batches of another size from now on; between two epochs."""
        self.batch_size = batch_size
        self._reader.change(*self._source_of_runs())

    def begin_epoch(self, epoch: int) -> None:
        """Go to an epoch, counted from 0; called by the thread that trains."""
        idle = int(self._watch.idle)
        if idle and self._threads and not self._decided and self._waited >= START_SECONDS:
            self._decided = True
            self._start_processes(min(idle, reading_threads()))
        self._epoch = epoch
        self._watch = _Watch()

    def end_epoch(self) -> float | None:
        """Share of the time since `begin_epoch` that training waited for batches, in [0, 1].

        None if it is not known: Keras on TensorFlow reads from a thread of its own.
        """
        share = self._watch.stop()
        self._waited += self._watch.waited
        return share

    def _start_processes(self, count: int) -> None:
        try:
            processes = BatchProcesses(self._batches, count)
        except Exception as error:  # no more memory, files or processes: threads do as well
            logger.info("Batches go on being made by threads: %s.", error)
            return
        self._open.close()
        self._open.enter_context(processes)
        self._source = processes
        self._reader = self._read_ahead(count)
        self.processes = count

    def _source_of_runs(self) -> tuple[ReadRun, int, int]:
        """What `Prefetcher` needs to know."""
        read = functools.partial(self._source.read_run, batch_size=self.batch_size)
        return read, len(self), self._batches.run_length(self.batch_size)

    def _read_ahead(self, threads: int) -> Prefetcher:
        return self._open.enter_context(Prefetcher(*self._source_of_runs(), threads=threads))


class _Watch:
    """How an epoch's time is spent; made and stopped by the thread that trains.

    Attributes:
        waited: Seconds until batches were there, whoever asked for them.
        idle: Processors that had nothing to do, on average; 0 before the end.
    """

    def __init__(self) -> None:
        self.waited = self.idle = 0.0
        self._trainer = threading.get_ident()
        self._readers: set[int] = set()
        self._began, self._computed = time.perf_counter(), time.process_time()

    def handed_over(self, seconds: float) -> None:
        """Note that a batch was there, so long after it was asked for."""
        self.waited += seconds
        self._readers.add(threading.get_ident())

    def stop(self) -> float | None:
        """Share of the time that went into waiting; None if the one who waited was no trainer."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        busy = (time.process_time() - self._computed) / seconds
        self.idle = max(0.0, own_processors() - busy)
        return min(1.0, self.waited / seconds) if self._readers == {self._trainer} else None


class FollowEpochs(keras.callbacks.Callback):
    """Tells a `Loader` which epoch begins, and the epoch's logs how long training waited for it.

    It should be the first of the callbacks: what others do at the end of an epoch is no training.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self._loader = loader

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Go to the epoch before its first batch is asked for."""
        self._loader.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the wait."""
        wait = self._loader.end_epoch()
        if wait is not None and logs is not None:
            logs[DATA_WAIT] = wait
