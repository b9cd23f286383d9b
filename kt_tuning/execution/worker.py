"""The main function of a worker process: receive the work once, then jobs."""

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
    """Run jobs until the parent closes the connection.

    Args:
        descriptor: File descriptor of the connection to the parent.
        imports: Modules to import while the parent prepares the work.
    """
    # Logs where native code failed.
    faulthandler.enable(all_threads=False)
    threading.Thread(target=_follow_parent, daemon=True).start()
    with Connection(descriptor) as line:
        try:
            _serve(line, _receive_work(line, imports))
        except Exception as error:
            # The connection itself may be broken.
            with contextlib.suppress(ConnectionError):
                line.send_bytes(cloudpickle.dumps(("raised", portable(error))))


def _receive_work(line: Connection, imports: Sequence[str]) -> Work:
    # Imports make a million lasting objects. Collections during the imports would take an eighth of
    # their time, and later collections would scan the objects again.
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
    """Return the error with its traceback as a note; a `SearchError` if it cannot be pickled."""
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return SearchError(f"{type(error).__name__}: {error}")
    return error


def _follow_parent() -> None:
    """Exit when the parent exits, which closes the standard input in any case."""
    while os.read(0, 1):
        pass
    os._exit(1)
