"""An executor of several processes on this machine.

The work is sent to each worker once by cloudpickle, so functions and classes of a notebook cell
work; large arrays are files that all workers map into memory. The death of a worker loses only the
time of its job. Workers are new interpreters, not forks: TensorFlow does not survive a fork, and
scripts need no `if __name__ == "__main__"`. They inherit a pipe by its number, which Windows lacks.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

import cloudpickle

from kt_tuning.core import pickling
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.process import count_processors
from kt_tuning.execution.executor import Driver, Executor, Work, Worker
from kt_tuning.execution.worker_resources import gpu_environment, thread_environment, visible_gpus

STOP_SECONDS = 5
"""Seconds that a worker may take to exit before it is killed."""

_BOOT = """
import sys
sys.path[:] = {path!r}
from kt_tuning.execution.worker import main
main({descriptor}, {imports!r})
"""


class Processes(Executor):
    """Runs up to `workers` jobs at once; they share the processors.

    Args:
        workers: Processes, at least 1.
        logs: Folder of the workers' output, `worker_<n>.log`, and, while they run, of the shared
            arrays; made if missing.
        imports: Modules that take long to import; workers import them while they wait for work.

    Raises:
        OptionError: if there is no worker.
    """

    def __init__(self, workers: int, *, logs: Path, imports: Sequence[str] = ()) -> None:
        if workers < 1:
            raise OptionError(f"A search has at least 1 worker. Received: workers={workers}")
        self.workers = workers
        self._logs = logs
        self._imports = imports
        self._environment = thread_environment(max(1, count_processors() // workers))
        self._gpus = visible_gpus()
        self._pool: list[_Process] = []
        self._started = itertools.count()

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start the workers; they are stopped at the end of the block."""
        try:
            for _ in range(self.workers):
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
            load = pickling.dumps(work, shared)
            while True:
                self._hand_out(load, driver, retries)
                busy: dict[Any, _Process] = {
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
            self._stop([w for w in self._pool if w.job is None and not w.alive])
            free = next((worker for worker in self._pool if worker.job is None), None)
            if free is None and len(self._pool) >= self.workers:
                return
            job = retries.pop() if retries else driver.next_job()
            if job is None:
                return
            (free or self._start()).give(job, load)

    def _listen(self, worker: _Process, driver: Driver, retries: list[Any]) -> None:
        job = worker.job
        try:
            message = worker.receive()
        except EOFError as error:
            self._stop([worker])
            if driver.crashed(job, str(error)):
                retries.append(job)
        else:
            worker.handle(message, driver)

    def _start(self) -> _Process:
        taken = {worker.slot for worker in self._pool}
        slot = next(slot for slot in itertools.count() if slot not in taken)
        self._logs.mkdir(parents=True, exist_ok=True)
        worker = _Process(
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

    def _stop(self, workers: Sequence[_Process]) -> None:
        """Stop several workers in parallel."""
        workers = list(workers)
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.wait()
            self._pool.remove(worker)


class _Process(Worker):
    """A worker process and the connection to it.

    Args:
        slot: Its worker slot, from 0.
        log: File of its output.
        imports: Modules that it imports while it waits for work.
        environment: Variables in addition to those of this process.
    """

    def __init__(
        self, slot: int, log: Path, *, imports: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.slot = slot
        self.line, theirs = Pipe()
        self._log = log
        self._ready = False
        self._loaded = False
        # Functions and classes that are pickled by name are imported from the same path.
        boot = _BOOT.format(path=sys.path, descriptor=theirs.fileno(), imports=list(imports))
        with theirs, open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", boot],
                pass_fds=[theirs.fileno()],
                # Held open: it closes when this process ends in any way, and the worker exits.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                # The parent handles Ctrl-C and then stops its workers.
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def give(self, job: Any, load: bytes) -> None:
        """Send a job, and before the first one the pickled work, `load`."""
        self.job = job
        # If it has just died, `receive` says so.
        with contextlib.suppress(ConnectionError):
            if not self._loaded:
                self._loaded = True
                self.line.send_bytes(load)
            self.line.send_bytes(cloudpickle.dumps(job))

    def receive(self) -> tuple[str, Any]:
        """Return its next message.

        Raises:
            EOFError: if it died.
            SearchError: if it exited before it was ready.
        """
        try:
            message: tuple[str, Any] = cloudpickle.loads(self.line.recv_bytes())
        except (EOFError, ConnectionError) as error:
            status = self._status()
            reason = f"its process ended with status {status}"
            if status < 0:
                reason = f"its process was killed by {signal.Signals(-status).name}"
            elif status and not self._ready:
                raise SearchError(
                    f"A worker process did not start: {reason}. See {self._log}."
                ) from error
            raise EOFError(reason) from error
        self._ready = True
        return message

    def answer(self, answer: Any) -> None:
        """Send the answer to its report."""
        with contextlib.suppress(ConnectionError):
            self.line.send(answer)

    def _status(self) -> int:
        """Return the exit status; negative for a signal."""
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The connection is closed but the process still runs.
            self._process.kill()
            return self._process.wait()

    def close(self) -> None:
        """Close the connection, which ends an idle worker; terminate a busy one."""
        if self.job is not None or not self._ready:
            self._process.terminate()
        self.line.close()

    def wait(self) -> None:
        """Wait until it has exited after `close`."""
        self._status()
        assert self._process.stdin is not None
        self._process.stdin.close()
