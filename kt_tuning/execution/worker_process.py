"""A worker as its parent sees it.

Workers are plain interpreters, not forks: TensorFlow does not survive a fork, and a script needs no
`if __name__ == "__main__"`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cloudpickle

from kt_tuning.core.errors import SearchError

STOP_SECONDS = 5
"""How long a worker may take to end before it is killed."""

_BOOT = """
import sys
sys.path[:] = {path!r}
from kt_tuning.execution.worker import main
main({descriptor}, {imports!r})
"""


class WorkerProcess:
    """A process, the line to it, and what it is doing.

    Args:
        seat: Its number among those that run at the same time, from 0.
        log: File that gets what it prints.
        imports: Modules that it imports while it waits for work.
        environment: Variables that it sees besides those of this process.

    Attributes:
        seat: As above.
        line: The line to it; closed when the worker ends.
        job: What it works on, or None.
    """

    def __init__(
        self, seat: int, log: Path, *, imports: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.seat = seat
        self.job: Any | None = None
        self.line, theirs = Pipe()
        self._log = log
        self._ready = False
        self._loaded = False
        # Functions and classes that are pickled by name are found where we find them.
        boot = _BOOT.format(path=sys.path, descriptor=theirs.fileno(), imports=list(imports))
        with theirs, open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", boot],
                pass_fds=[theirs.fileno()],
                # Held open: when it closes, however this process ends, the worker ends as well.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                # Ctrl-C is for the parent, which then ends its workers in order.
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def give(self, job: Any, load: bytes) -> None:
        """Hand over a job, and before the first one the pickled work, `load`."""
        self.job = job
        # If it has just died, whoever listens to it next is told.
        with contextlib.suppress(ConnectionError):
            if not self._loaded:
                self._loaded = True
                self.line.send_bytes(load)
            self.line.send_bytes(cloudpickle.dumps(job))

    def receive(self) -> tuple[str, Any]:
        """What it says next: what kind of message, and its content.

        Returns:
            ("ready", None), ("report", news), ("logged", record), ("finished", result) or
            ("raised", error).

        Raises:
            EOFError: if it died.
            SearchError: if it ended of its own accord before it was ready.
        """
        try:
            message: tuple[str, Any] = cloudpickle.loads(self.line.recv_bytes())
        except (EOFError, ConnectionError) as error:
            if not self._ready and self._status() > 0:
                raise SearchError(
                    f"A worker process did not start: {self.epitaph()}. See {self._log}."
                ) from error
            raise EOFError from error
        self._ready = True
        return message

    def answer(self, answer: Any) -> None:
        """Answer its report."""
        with contextlib.suppress(ConnectionError):
            self.line.send(answer)

    def epitaph(self) -> str:
        """Why it died."""
        status = self._status()
        if status >= 0:
            return f"its process ended with status {status}"
        return f"its process was killed by {signal.Signals(-status).name}"

    def _status(self) -> int:
        """Exit status; negative for a signal."""
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # It hung up but did not end.
            self._process.kill()
            return self._process.wait()

    def hang_up(self) -> None:
        """Let it end: in order if it has nothing to do, else at once."""
        self.line.close()
        if self.job is not None or not self._ready:
            self._process.terminate()

    def wait(self) -> None:
        """Wait for its end after `hang_up`."""
        self._status()
        assert self._process.stdin is not None
        self._process.stdin.close()
