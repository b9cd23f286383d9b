"""What a worker process does: receive work once, then job after job."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import gc
import importlib
import os
import threading
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from kt_tuning.core.errors import SearchError
from kt_tuning.execution.devices import limit_gpu_memory
from kt_tuning.execution.executor import Work
from kt_tuning.execution.logs import LOGGED, ForwardingHandler


def main(descriptor: int, imports: Sequence[str]) -> None:
    """Run jobs until the parent hangs up.

    Args:
        descriptor: File descriptor of the line to the parent.
        imports: Modules to import while the parent prepares the work.
    """
    # The log then says where native code failed.
    faulthandler.enable(all_threads=False)
    threading.Thread(target=_follow_parent, daemon=True).start()
    with Connection(descriptor) as line:
        try:
            _serve(line, _receive_work(line, imports))
        except Exception as error:
            # If it is the line that broke, nobody listens any more.
            with contextlib.suppress(ConnectionError):
                line.send_bytes(cloudpickle.dumps(("raised", portable(error))))


def _receive_work(line: Connection, imports: Sequence[str]) -> Work:
    # Imports make a million objects that stay. Looking through them again and again would be an
    # eighth of the time of the imports, and would go on after each job.
    gc.disable()
    for name in imports:
        importlib.import_module(name)
    limit_gpu_memory()
    work: Work = cloudpickle.loads(line.recv_bytes())
    gc.freeze()
    gc.enable()
    line.send_bytes(cloudpickle.dumps(("ready", None)))
    return work


def _serve(line: Connection, work: Work) -> None:
    # Other threads may log while a message is sent.
    lock = threading.Lock()

    def send(kind: str, content: Any) -> None:
        with lock:
            line.send_bytes(cloudpickle.dumps((kind, content)))

    def report(*news: Any) -> Any:
        send("report", news)
        return line.recv()

    ForwardingHandler(functools.partial(send, LOGGED)).attach()
    while True:
        try:
            job = cloudpickle.loads(line.recv_bytes())
        except EOFError:
            return
        send("finished", work(job, report))


def portable(error: Exception) -> Exception:
    """The error with its traceback as a note; another one if it cannot be sent."""
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return SearchError(f"{type(error).__name__}: {error}")
    return error


def _follow_parent() -> None:
    """End at once when the parent does, however it ends: that closes our standard input."""
    while os.read(0, 1):
        pass
    os._exit(1)
