"""The worker's side of executors: the main function of a process, and the actor on a Ray node.

Messages are pickled here and not by the connection or Ray, so that one that cannot be pickled is an
ordinary error. `kt_tuning.execution.executor.Worker` lists their kinds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import gc
import importlib
import logging
import os
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from kt_tuning.core.errors import SearchError
from kt_tuning.core.pickling import load_packed
from kt_tuning.core.progress import FORWARDED
from kt_tuning.execution.worker_resources import (
    gpu_environment,
    limit_gpu_memory,
    thread_environment,
    visible_gpus,
)

THREADS = 2
"""Ray's threads of an actor: one waits in `hear`, the other receives calls meanwhile."""


def main(descriptor: int, imports: Sequence[str]) -> None:
    """Run jobs in a process of its own until the parent closes the connection.

    The first message from the parent is the pickled work, each later one a pickled job.

    Args:
        descriptor: File descriptor of the connection to the parent.
        imports: Modules to import while the parent prepares the work.
    """
    # Logs where native code failed.
    faulthandler.enable(all_threads=False)
    threading.Thread(target=_follow_parent, daemon=True).start()
    with Connection(descriptor) as line:
        # Other threads may log while a message is sent.
        lock = threading.Lock()

        def send(kind: str, content: Any) -> None:
            with lock:
                line.send_bytes(cloudpickle.dumps((kind, content)))

        def report(*news: Any) -> Any:
            try:
                send("report", news)
                return line.recv()
            except (EOFError, OSError):
                # The parent stops. For the job this must be no error of its own: a trial would be
                # recorded as failed, and its checkpoint removed.
                os._exit(1)

        try:
            _prepare(imports)
            work = cloudpickle.loads(line.recv_bytes())
            send("ready", None)
            ForwardingHandler(functools.partial(send, "logged")).attach()
            while True:
                try:
                    job = cloudpickle.loads(line.recv_bytes())
                except EOFError:
                    return
                send("finished", work(job, report))
        except Exception as error:
            # The connection itself may be broken.
            with contextlib.suppress(ConnectionError):
                send("raised", portable(error))


class RayActor:
    """Runs jobs one after the other on a node of a cluster.

    Its own thread runs jobs; Ray's threads carry messages.

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
        # Ray hides GPUs only from actors that request some.
        hidden = {"CUDA_VISIBLE_DEVICES": "-1"}
        shared = gpu_environment(0, int(1 / gpus), visible_gpus()) if gpus else hidden
        os.environ.update(thread_environment(max(1, int(cpus))) | shared)
        # Temporary files of jobs are removed with the worker.
        self._scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="kt-tuning-")
        self._jobs: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._live, args=(imports,), daemon=True).start()

    def hear(self) -> bytes:
        """Wait for the next message, and return it pickled."""
        return self._news.get()

    def give(self, job: bytes, work: Sequence[Any]) -> None:
        """Receive a pickled job and, in a list that Ray leaves alone, the reference to the work."""
        self._jobs.put((job, work[0]))

    def answer(self, answer: Any) -> None:
        """Receive the answer to its report."""
        self._answers.put(answer)

    def end(self) -> None:
        """Remove temporary files before the actor is killed."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _live(self, imports: Sequence[str]) -> None:
        try:
            _prepare(imports)
            ForwardingHandler(functools.partial(self._send, "logged")).attach()
            self._send("ready", None)
            job, reference = self._jobs.get()
            work = load_packed(reference)
            while True:
                self._send("finished", work(cloudpickle.loads(job), self._report))
                job, _ = self._jobs.get()
        except Exception as error:
            self._send("raised", portable(error))
        except BaseException:
            # In a process of its own it would end the process.
            traceback.print_exc()
            os._exit(1)

    def _report(self, *news: Any) -> Any:
        self._send("report", news)
        return self._answers.get()

    def _send(self, kind: str, content: Any) -> None:
        self._news.put(cloudpickle.dumps((kind, content)))


class ForwardingHandler(QueueHandler):
    """Passes warnings, errors and progress that the toolkit logs in a worker to a function.

    Args:
        send: Called with each `logging.LogRecord`, ready to be pickled, perhaps from several
            threads.
    """

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]
        self._send = send
        self.addFilter(
            lambda record: (
                record.levelno >= logging.WARNING or bool(getattr(record, FORWARDED, False))
            )
        )

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that `prepare` has made picklable."""
        self._send(record)

    def attach(self) -> None:
        """Forward the log records of this process from now on."""
        logger = logging.getLogger("kt_tuning")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)


def portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note; a `SearchError` if it cannot be pickled."""
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return SearchError(f"{type(error).__name__}: {error}")
    return error


def _prepare(imports: Sequence[str]) -> None:
    """Import modules, and leave the objects that they make out of garbage collections.

    These are a million lasting objects. Collections during the imports would take an eighth of
    their time, and later collections would scan the objects again.
    """
    gc.disable()
    for name in imports:
        importlib.import_module(name)
    limit_gpu_memory()
    gc.freeze()
    gc.enable()


def _follow_parent() -> None:
    """Exit when the parent exits, which closes the standard input in any case."""
    while os.read(0, 1):
        pass
    os._exit(1)
