"""A worker on a node of the cluster: an actor that runs several jobs, so only the first one waits.

Its own thread runs jobs; Ray's threads carry messages. Messages are pickled here and not by Ray, so
that a message that cannot be pickled is an ordinary error.
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
"""Ray's threads: one waits in `hear`, the other receives calls meanwhile."""


class Worker:
    """Runs jobs one after the other.

    Args:
        imports: Modules to import before the first job.
        path: Module search path of the driver; its entries that exist here are used.
        cpus: Processors of the worker.
        gpus: GPUs of the worker, from 0 to 1.
    """

    def __init__(
        self, imports: Sequence[str], path: Sequence[str], cpus: float, gpus: float
    ) -> None:
        sys.path += [entry for entry in path if entry not in sys.path and os.path.exists(entry)]
        os.environ.update(thread_environment(max(1, int(cpus))) | _gpu_environment(gpus))
        # Temporary files of jobs are removed with the worker.
        self._scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="kt-tuning-")
        self._jobs: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._live, args=(imports,), daemon=True).start()

    def hear(self) -> bytes:
        """Wait for the next message.

        Returns:
            Pickled: ("ready", None), ("report", arguments), ("logged", record),
            ("finished", result) or ("raised", error).
        """
        return self._news.get()

    def give(self, job: bytes, work: Sequence[Any]) -> None:
        """Receive a pickled job and the reference to the work, in a list lest Ray resolve it."""
        self._jobs.put((job, work[0]))

    def answer(self, answer: Any) -> None:
        """Receive the answer to its report."""
        self._answers.put(answer)

    def end(self) -> None:
        """Remove temporary files before the actor is killed."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _live(self, imports: Sequence[str]) -> None:
        try:
            self._serve(imports)
        except Exception as error:
            self._tell("raised", portable(error))
        except BaseException:
            # In a process of its own it would end the process.
            traceback.print_exc()
            os._exit(1)

    def _serve(self, imports: Sequence[str]) -> None:
        # See `kt_tuning.execution.worker`.
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
    """Return the environment that limits the worker to its share of the GPU that Ray chose."""
    if not gpus:
        # Ray hides GPUs only from actors that request some.
        return {"CUDA_VISIBLE_DEVICES": "-1"}
    return gpu_environment(0, int(1 / gpus), visible_gpus())
