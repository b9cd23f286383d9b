"""One function applied to many jobs on all cores, in order.

Small images are decoded mostly in Python code, which threads cannot share: two threads take longer
than one. The workers are therefore processes, started as plain interpreters and not by
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
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, TypeVar

from kt_tuning.core.errors import KtTuningError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

#: Ctrl-C reaches every process of a terminal; the parent, once it has stopped, ends the workers.
_BOOT = """
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from kt_tuning.data.worker_pool import serve
serve()
"""


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, workers: int
) -> Generator[_Result, None, None]:
    """Yield `function(job)` for each job, in order.

    Args:
        function: A function of a module that can be imported, not of `__main__`.
        jobs: Arguments; they and the results are pickled.
        workers: Processes to start; 1 or fewer works in this one.

    Raises:
        KtTuningError: if a process dies.
    """
    if workers <= 1 or not sys.executable:
        yield from map(function, jobs)
        return
    team = [Worker(function) for _ in range(workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in team:
        idle.put(worker)

    def run(job: _Job) -> Any:
        worker = idle.get()
        try:
            return worker(job)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[_Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(run, job))
            # a bounded queue: one slow job must not let all other results pile up in memory
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for worker in team:
            worker.close()


class Worker:
    """A process that answers one job at a time.

    Args:
        function: As for `map_in_order`.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send(sys.path)
        self._send(function)

    def __call__(self, job: Any) -> Any:
        """Return `function(job)`.

        Raises:
            KtTuningError: if the process dies.
        """
        try:
            self._send(job)
            done, result = pickle.load(self._output)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            code = self._process.wait()
            raise KtTuningError(
                f"A process that reads images ended early, with code {code}. It may have run "
                "out of memory: free some, or remove the largest images."
            ) from None
        if not done:
            raise result
        return result

    def close(self) -> None:
        """End the process: it stops when its input does."""
        with contextlib.suppress(OSError):  # it is gone already
            self._input.close()
        self._output.close()
        self._process.wait()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _send(self, value: Any) -> None:
        pickle.dump(value, self._input)
        self._input.flush()


def serve() -> None:
    """Be a worker: read the function, then answer jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
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
