"""Worker processes that decode images and make batches.

Work on small images is mostly Python code, which holds the interpreter's lock: two threads take
longer than one. The workers are therefore processes, started as plain interpreters and not by
`multiprocessing`: they never import the caller's script, so it needs no `__main__` guard, and they
are safe to start beside TensorFlow's threads.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from kt_tuning.core.atomic import held, remove_abandoned
from kt_tuning.core.errors import KtTuningError
from kt_tuning.core.pickling import dumps
from kt_tuning.data.batches import Batch, Batches

SHARED = "kt-tuning-batches-"
"""Prefix of the temporary folders of arrays that processes share."""

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

# Ctrl-C reaches every process of a terminal; the parent ends the workers once it has stopped.
_BOOT = """
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from kt_tuning.data.worker_pool import serve
serve()
"""


class WorkerPool:
    """Processes that run a function on jobs, each on one job at a time.

    Leaving the context ends them.

    Args:
        function: A function of a module that can be imported, not of `__main__`.
        processes: Number of processes.

    Raises:
        Exception: if a process cannot be started.
    """

    def __init__(self, function: Callable[[Any], Any], processes: int) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        with contextlib.ExitStack() as stack:
            stack.push(self.__exit__)
            for _ in range(processes):
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _BOOT],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                self.processes.append(process)
                _send(process, sys.path)
                _send(process, function)
                self._idle.put(process)
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):  # it is gone already
                process.stdin.close()
            process.stdout.close()
            process.wait()

    def run(self, job: Any) -> Any:
        """Return `function(job)`, computed by an idle process; thread-safe.

        The job and the result are pickled.

        Raises:
            KtTuningError: if the process dies.
            Exception: the exception that the function raises.
        """
        process = self._idle.get()
        try:
            _send(process, job)
            assert process.stdout is not None
            done, result = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            code = process.wait()
            raise KtTuningError(
                f"A process that reads images ended early, with code {code}. It may have run "
                "out of memory: free some, or remove the largest images."
            ) from None
        finally:
            self._idle.put(process)
        if not done:
            raise result
        return result


def map_in_order(
    function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, workers: int
) -> Generator[_Result, None, None]:
    """Yield `function(job)` for each job, in order.

    Args:
        function: As for `WorkerPool`.
        jobs: Arguments; they and the results are pickled.
        workers: Processes to start; 1 or fewer works in this one.

    Raises:
        KtTuningError: if a process dies.
    """
    if workers <= 1 or not sys.executable:
        yield from map(function, jobs)
        return
    waiting: deque[Future[_Result]] = deque()
    with WorkerPool(function, workers) as pool:
        threads = ThreadPoolExecutor(workers)
        try:
            for job in jobs:
                waiting.append(threads.submit(pool.run, job))
                # a bounded queue: one slow job must not let all other results pile up in memory
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def serve() -> None:
    """Run as a worker: read the function, then answer jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps the prints of libraries out of the answers
    function = pickle.load(sys.stdin.buffer)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent has closed its end, or died
        while True:
            job = pickle.load(sys.stdin.buffer)
            try:
                answer = (True, function(job))
            except Exception as error:  # handed over, and raised in the parent
                answer = (False, error)
            pickle.dump(answer, answers, protocol=5)
            answers.flush()


def _send(process: subprocess.Popen[bytes], value: Any) -> None:
    assert process.stdin is not None
    pickle.dump(value, process.stdin)
    process.stdin.flush()


class BatchProcesses:
    """Processes that make batches, where training outruns the threads of one interpreter.

    They map large arrays into memory from files, see `dumps`; batches come back through a pipe.
    Leaving the context ends them.

    Args:
        batches: The batches.
        processes: Number of processes.

    Raises:
        Exception: if a process cannot be started, or the batches cannot be written to files.
    """

    def __init__(self, batches: Batches, processes: int) -> None:
        self._batches = batches
        with contextlib.ExitStack() as stack:
            remove_abandoned(Path(tempfile.gettempdir()), f"{SHARED}*")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=SHARED))
            stack.enter_context(held(Path(folder)))
            reader = _BatchReader(dumps(batches, Path(folder)))
            self.pool = stack.enter_context(WorkerPool(reader, processes))
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def read_run(self, epoch: int, run: int, batch_size: int | None = None) -> list[Batch]:
        """Return batches, see `Batches.read_run`; thread-safe.

        Batches that a process fails to make, for example because it died, are made in this process.
        """
        try:
            batches: list[Batch] = self.pool.run((epoch, run, batch_size))
        except Exception:  # an error of the batch itself is raised here as well
            return self._batches.read_run(epoch, run, batch_size)
        return batches


class _BatchReader:
    """The function of a worker: it makes batches of arrays that all processes share."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._batches: Batches | None = None

    def __call__(self, place: tuple[int, int, int | None]) -> list[Batch]:
        if self._batches is None:
            self._batches = pickle.loads(self._content)
        return self._batches.read_run(*place)
