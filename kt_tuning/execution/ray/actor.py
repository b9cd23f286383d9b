"""A worker on a node of the cluster: an actor that stays, so that only its first job waits.

One thread of its own runs jobs; Ray's threads carry what goes in and out. All messages are
pickled here and not by Ray, so that what cannot be sent or received is an error like any other.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from typing import Any

import cloudpickle

from kt_tuning.execution.devices import (
    gpu_environment,
    limit_gpu_memory,
    thread_environment,
    visible_gpus,
)
from kt_tuning.execution.logs import LOGGED, ForwardingHandler
from kt_tuning.execution.ray import objects
from kt_tuning.execution.worker import portable

THREADS = 2
"""Of Ray's: one waits in `hear`, the other one takes what comes meanwhile."""


class Worker:
    """Runs jobs one after the other.

    Args:
        imports: Modules to import before the first job.
        path: Where the driver finds modules; what of it exists here is searched, too.
        cpus: Processors that it has.
        gpus: GPUs that it has, 0 to 1.
    """

    def __init__(
        self, imports: Sequence[str], path: Sequence[str], cpus: float, gpus: float
    ) -> None:
        sys.path += [entry for entry in path if entry not in sys.path and os.path.exists(entry)]
        os.environ.update(thread_environment(max(1, int(cpus))) | _gpu_environment(gpus))
        # Whatever a job writes for itself is gone with the worker.
        self._scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="kt-tuning-")
        self._jobs: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._live, args=(imports,), daemon=True).start()

    def hear(self) -> bytes:
        """Wait for its next message.

        Returns:
            Pickled: ("ready", None), ("report", news), ("logged", record), ("finished", result),
            ("raised", error).
        """
        return self._news.get()

    def give(self, job: bytes, work: Sequence[Any]) -> None:
        """Take a job, pickled, and the reference to the work, in a list lest Ray resolve it."""
        self._jobs.put((job, work[0]))

    def answer(self, answer: Any) -> None:
        """Take the answer to its report."""
        self._answers.put(answer)

    def end(self) -> None:
        """Clean up: it is about to be killed."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _live(self, imports: Sequence[str]) -> None:
        try:
            self._serve(imports)
        except Exception as error:
            self._tell("raised", portable(error))
        except BaseException:
            # In a process of its own that would end the process.
            traceback.print_exc()
            os._exit(1)

    def _serve(self, imports: Sequence[str]) -> None:
        # What imports make stays: see `kt_tuning.execution.worker`.
        gc.disable()
        for name in imports:
            importlib.import_module(name)
        limit_gpu_memory()
        gc.freeze()
        gc.enable()
        ForwardingHandler(functools.partial(self._tell, LOGGED)).attach()
        self._tell("ready", None)
        job, reference = self._jobs.get()
        work = objects.get(reference)
        while True:
            self._tell("finished", work(cloudpickle.loads(job), self._report))
            job, _ = self._jobs.get()

    def _report(self, *news: Any) -> Any:
        self._tell("report", news)
        return self._answers.get()

    def _tell(self, kind: str, content: Any) -> None:
        self._news.put(cloudpickle.dumps((kind, content)))


def _gpu_environment(gpus: float) -> dict[str, str]:
    """Variables that hold it to its part of the GPU that Ray chose for it."""
    if not gpus:
        # Ray hides GPUs from those who asked for some only.
        return {"CUDA_VISIBLE_DEVICES": "-1"}
    return gpu_environment(0, int(1 / gpus), visible_gpus())
