"""Worker processes that decode images and make batches.

Work on small images is mostly Python code, which holds the interpreter's lock: two threads take
longer than one. The workers are therefore processes, started as plain interpreters and not by
`multiprocessing`: they never import the caller's script, so it needs no `__main__` guard, and they
are safe to start beside TensorFlow's threads.
"""

from __future__ import annotations

import contextlib
import mmap
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
from typing import IO, Any, Self, TypeVar

from kt_tuning.core.errors import KtTuningError
from kt_tuning.data.batches import Batch, Batches

PICKLE = "batches.pickle"

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
    """A process that runs a function on one job at a time.

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


class BatchProcesses:
    """Processes that make batches, where training outruns the threads of one interpreter.

    They map the arrays that the batches are made of into memory from files; batches come back
    through a pipe. Leaving the context ends them.

    Args:
        batches: The batches.
        processes: Number of processes.

    Raises:
        Exception: if a process cannot be started, or the batches cannot be written to files.
    """

    def __init__(self, batches: Batches, processes: int) -> None:
        self._batches = batches
        self._folder = tempfile.TemporaryDirectory(prefix="kt-tuning-")
        self._workers: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        try:
            _write(batches, Path(self._folder.name))
            for _ in range(processes):
                self._workers.append(Worker(_Source(self._folder.name)))
                self._idle.put(self._workers[-1])
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.close()
        self._folder.cleanup()

    def read_run(self, epoch: int, run: int, batch_size: int | None = None) -> list[Batch]:
        """Return batches, see `Batches.read_run`; called by as many threads as processes at a time.

        Batches that a process fails to make, for example because it died, are made in this process,
        and the other one is not used again.
        """
        try:
            worker = self._idle.get_nowait()
            batches: list[Batch] = worker((epoch, run, batch_size))
        except Exception:  # an error of the batch itself is raised here as well
            return self._batches.read_run(epoch, run, batch_size)
        self._idle.put(worker)
        return batches


class _Source:
    """The function of a worker: it makes batches from the files in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._batches: Batches | None = None

    def __call__(self, place: tuple[int, int, int | None]) -> list[Batch]:
        if self._batches is None:
            self._batches = _load(Path(self._folder))
        return self._batches.read_run(*place)


def _write(batches: Batches, folder: Path) -> None:
    """Pickle batches; each array goes to a file of its own."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(batches, protocol=5, buffer_callback=arrays.append)
    for number, array in enumerate(arrays):
        (folder / str(number)).write_bytes(array.raw())
    (folder / PICKLE).write_bytes(content)


def _load(folder: Path) -> Batches:
    """Unpickle batches; their arrays are mapped into memory, which all processes share."""
    maps: list[Any] = []
    for number in range(sum(path.name != PICKLE for path in folder.iterdir())):
        path = folder / str(number)
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            empty = path.stat().st_size == 0
            maps.append(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    batches: Batches = pickle.loads((folder / PICKLE).read_bytes(), buffers=maps)
    return batches
