"""Batches made by other processes, where training outruns the threads of one interpreter.

Operations on small images are mostly Python code, which threads cannot share. The processes are
plain interpreters, like those of `kt_tuning.data.worker_pool`, and map the same file of pixels into
memory; batches come back through a pipe.
"""

from __future__ import annotations

import mmap
import pickle
import queue
import tempfile
from pathlib import Path
from typing import Any, Self

from kt_tuning.data.batches import Batch, Batches
from kt_tuning.data.worker_pool import Worker

PICKLE = "batches.pickle"


class ReadProcesses:
    """Processes that make batches. Leaving the context ends them.

    Args:
        batches: What to make.
        processes: How many.

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
        """Make batches, see `Batches.read_run`; as many threads as there are processes may ask.

        What a process cannot make, because it died, say, is made here, and it is not asked again.
        """
        try:
            worker = self._idle.get_nowait()
            batches: list[Batch] = worker((epoch, run, batch_size))
        except Exception:  # if a batch is to blame, it is raised here as well
            return self._batches.read_run(epoch, run, batch_size)
        self._idle.put(worker)
        return batches


class _Source:
    """Makes batches in another process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._batches: Batches | None = None

    def __call__(self, place: tuple[int, int, int | None]) -> list[Batch]:
        if self._batches is None:
            self._batches = _load(Path(self._folder))
        return self._batches.read_run(*place)


def _write(batches: Batches, folder: Path) -> None:
    """Pickle batches, with each array in a file of its own."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(batches, protocol=5, buffer_callback=arrays.append)
    for number, array in enumerate(arrays):
        (folder / str(number)).write_bytes(array.raw())
    (folder / PICKLE).write_bytes(content)


def _load(folder: Path) -> Batches:
    """Unpickle batches; the arrays are mapped, and shared by all processes that do so."""
    maps: list[Any] = []
    for number in range(sum(path.name != PICKLE for path in folder.iterdir())):
        path = folder / str(number)
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            empty = path.stat().st_size == 0
            maps.append(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    batches: Batches = pickle.loads((folder / PICKLE).read_bytes(), buffers=maps)
    return batches
