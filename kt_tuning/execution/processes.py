"""An executor of several processes on this machine.

The work is sent to each worker once by cloudpickle, so functions and classes of a notebook cell
work; large arrays are files that all workers map into memory. The death of a worker loses only the
time of its job.
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
from kt_tuning.execution import shared_arrays
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
        logs: Folder of the workers' output, `worker_<n>.log`, and, while they run, of the shared
            arrays; made if missing.
        imports: Modules that take long to import; workers import them while they wait for work.
        threads: Threads of each worker; the processors divided by `workers` if None.
        environment: Variables of the workers in addition to those of this process.

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
        """Start the workers, at most one a job; they are stopped at the end of the block.

        Args:
            jobs: Largest number of jobs; None if unknown.
        """
        try:
            for _ in range(self.workers if jobs is None else min(jobs, self.workers)):
                self._start()
            yield self
        finally:
            self._stop(self._pool)

    def run(self, work: Work, driver: Driver) -> None:
        """Run jobs until none is left and none is running.

        Raises:
            OptionError: if `work` cannot be sent to another process.
            StorageError: if the data cannot be written for the workers.
            SearchError: if a worker does not start.
            Exception: any error of `work`.
        """
        shared = self._logs / "shared"
        # A killed process may have left it.
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
        """Give every free worker a job; start workers as needed."""
        while True:
            free = self._free()
            if free is None and len(self._pool) >= self.workers:
                return
            job = retries.pop() if retries else driver.next_job()
            if job is None:
                return
            (free or self._start()).give(job, load)

    def _free(self) -> WorkerProcess | None:
        """Return a worker without a job; dead ones are removed."""
        self._stop([w for w in self._pool if w.job is None and not w.alive])
        return next((worker for worker in self._pool if worker.job is None), None)

    def _listen(self, worker: WorkerProcess, driver: Driver, retries: list[Any]) -> None:
        job = worker.job
        try:
            kind, content = worker.receive()
        except EOFError:
            self._stop([worker])
            if driver.crashed(job, worker.exit_reason()):
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
        taken = {worker.slot for worker in self._pool}
        slot = next(slot for slot in itertools.count() if slot not in taken)
        worker = WorkerProcess(
            slot,
            self._logs / f"worker_{next(self._started)}.log",
            imports=self._imports,
            environment={
                **gpu_environment(slot, self.workers, self._gpus),
                **self._environment,
            },
        )
        self._pool.append(worker)
        return worker

    def _stop(self, workers: Sequence[WorkerProcess]) -> None:
        """Stop several workers in parallel."""
        workers = list(workers)
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.wait()
            self._pool.remove(worker)


def _pickle(work: Work, shared: Path) -> bytes:
    try:
        return shared_arrays.dumps(work, shared)
    except KtTuningError:
        raise
    except Exception as error:
        raise OptionError(
            f"The hypermodel or the data cannot be sent to worker processes ({error}). "
            "A tf.data.Dataset, an open file or a lock cannot: use arrays, or workers=1."
        ) from error
