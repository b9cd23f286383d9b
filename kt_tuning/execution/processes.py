"""Several jobs at once, each in a process of its own, on this machine.

What workers run is sent to each once, by cloudpickle, so that functions and classes from a notebook
cell work; large arrays lie in files that all of them map into memory. A worker that dies takes
nothing with it but its job's time.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

from kt_tuning.core.errors import KtTuningError, OptionError
from kt_tuning.core.processors import count_processors
from kt_tuning.execution import sharing
from kt_tuning.execution.devices import (
    gpu_environment,
    thread_environment,
    visible_gpus,
)
from kt_tuning.execution.executor import Driver, Executor, Work
from kt_tuning.execution.logs import LOGGED, show
from kt_tuning.execution.worker_process import WorkerProcess


class Processes(Executor):
    """Runs up to `workers` jobs at once.

    Args:
        workers: Processes, at least 1.
        logs: Folder that gets what the workers print, `worker_<n>.log`, and, while they run, the
            arrays they share; made if missing.
        imports: Modules that the workers import while they wait for work: what takes long.
        threads: Threads that each may compute with; the processors divided among the workers if
            None.
        environment: Variables that the workers see besides those of this process.

    Raises:
        OptionError: if a number is below 1.
    """

    def __init__(
        self,
        workers: int,
        *,
        logs: Path,
        imports: Sequence[str] = (),
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        threads = max(1, count_processors() // max(1, workers)) if threads is None else threads
        if workers < 1 or threads < 1:
            raise OptionError(
                "A search has at least 1 worker with at least 1 thread. "
                f"Received: workers={workers}, threads={threads}"
            )
        self.workers = workers
        self._logs = logs
        self._imports = imports
        self._environment = {**thread_environment(threads), **(environment or {})}
        self._gpus = visible_gpus()
        self._pool: list[WorkerProcess] = []
        self._started = itertools.count()

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Start the workers, no more than there are jobs; at the end of the block they are stopped.

        Args:
            jobs: How many there will be, at most; None if that is not known.
        """
        try:
            for _ in range(self.workers if jobs is None else min(jobs, self.workers)):
                self._start()
            yield self
        finally:
            self._stop(self._pool)

    def run(self, work: Work, driver: Driver) -> None:
        """Run jobs until there are none left and none is running.

        Raises:
            OptionError: if `work` cannot be sent to another process.
            StorageError: if the data cannot be written for the workers.
            SearchError: if a worker does not start.
            Exception: whatever `work` raises.
        """
        shared = self._logs / "shared"
        # What a killed process left behind.
        shutil.rmtree(shared, ignore_errors=True)
        retries: list[Any] = []
        try:
            load = _pickle(work, shared)
            while True:
                self._hand_out(load, driver, retries)
                busy: dict[Any, WorkerProcess] = {
                    worker.line: worker for worker in self._pool if worker.job is not None
                }
                if not busy:
                    return
                for line in wait(list(busy)):
                    self._listen(busy[line], driver, retries)
        finally:
            self._stop(self._pool)
            shutil.rmtree(shared, ignore_errors=True)

    def _hand_out(self, load: bytes, driver: Driver, retries: list[Any]) -> None:
        """Give every free worker a job, starting workers only as they are needed."""
        while True:
            free = self._free()
            if free is None and len(self._pool) >= self.workers:
                return
            job = retries.pop() if retries else driver.next_job()
            if job is None:
                return
            (free or self._start()).give(job, load)

    def _free(self) -> WorkerProcess | None:
        """A worker without a job; one that died meanwhile is not missed."""
        self._stop([w for w in self._pool if w.job is None and not w.alive])
        return next((worker for worker in self._pool if worker.job is None), None)

    def _listen(self, worker: WorkerProcess, driver: Driver, retries: list[Any]) -> None:
        job = worker.job
        try:
            kind, content = worker.receive()
        except EOFError:
            self._stop([worker])
            if driver.crashed(job, worker.epitaph()):
                retries.append(job)
            return
        if kind == "report":
            worker.answer(driver.reported(job, *content))
        elif kind == LOGGED:
            show(content)
        elif kind == "raised":
            raise content
        elif kind == "finished":
            worker.job = None
            driver.finished(job, content)

    def _start(self) -> WorkerProcess:
        self._logs.mkdir(parents=True, exist_ok=True)
        taken = {worker.seat for worker in self._pool}
        seat = next(seat for seat in itertools.count() if seat not in taken)
        worker = WorkerProcess(
            seat,
            self._logs / f"worker_{next(self._started)}.log",
            imports=self._imports,
            environment={
                **gpu_environment(seat, self.workers, self._gpus),
                **self._environment,
            },
        )
        self._pool.append(worker)
        return worker

    def _stop(self, workers: Sequence[WorkerProcess]) -> None:
        """End workers, all at the same time."""
        workers = list(workers)
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.wait()
            self._pool.remove(worker)


def _pickle(work: Work, shared: Path) -> bytes:
    try:
        return sharing.dumps(work, shared)
    except KtTuningError:
        raise
    except Exception as error:
        raise OptionError(
            f"The hypermodel or the data cannot be sent to worker processes ({error}). "
            "A tf.data.Dataset, an open file or a lock cannot: use arrays, or workers=1."
        ) from error
