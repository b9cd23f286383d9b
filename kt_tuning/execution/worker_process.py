"""The parent's side of a worker process.

Workers are new interpreters, not forks: TensorFlow does not survive a fork, and scripts need no
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
"""Seconds that a worker may take to exit before it is killed."""

_BOOT = """
import sys
sys.path[:] = {path!r}
from kt_tuning.execution.worker import main
main({descriptor}, {imports!r})
"""


class WorkerProcess:
    """A worker process, the connection to it, and its job.

    Args:
        slot: Its worker slot, from 0.
        log: File of its output.
        imports: Modules that it imports while it waits for work.
        environment: Variables in addition to those of this process.

    Attributes:
        slot: As above.
        line: The connection to it, closed when it ends.
        job: Its job, or None.
    """

    def __init__(
        self, slot: int, log: Path, *, imports: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.slot = slot
        self.job: Any | None = None
        self.line, theirs = Pipe()
        self._log = log
        self._ready = False
        self._loaded = False
        # Functions and classes that are pickled by name are imported from the same path.
        boot = _BOOT.format(path=sys.path, descriptor=theirs.fileno(), imports=list(imports))
        with theirs, open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", boot],
                pass_fds=[theirs.fileno()],
                # Held open: it closes when this process ends in any way, and the worker exits.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                # The parent handles Ctrl-C and then stops its workers.
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def give(self, job: Any, load: bytes) -> None:
        """Send a job, and before the first one the pickled work, `load`."""
        self.job = job
        # If it has just died, `receive` says so.
        with contextlib.suppress(ConnectionError):
            if not self._loaded:
                self._loaded = True
                self.line.send_bytes(load)
            self.line.send_bytes(cloudpickle.dumps(job))

    def receive(self) -> tuple[str, Any]:
        """Return the kind and the content of its next message.

        Returns:
            ("ready", None), ("report", arguments), ("logged", record), ("finished", result) or
            ("raised", error).

        Raises:
            EOFError: if it died.
            SearchError: if it exited before it was ready.
        """
        try:
            message: tuple[str, Any] = cloudpickle.loads(self.line.recv_bytes())
        except (EOFError, ConnectionError) as error:
            if not self._ready and self._status() > 0:
                raise SearchError(
                    f"A worker process did not start: {self.exit_reason()}. See {self._log}."
                ) from error
            raise EOFError from error
        self._ready = True
        return message

    def answer(self, answer: Any) -> None:
        """Send the answer to its report."""
        with contextlib.suppress(ConnectionError):
            self.line.send(answer)

    def exit_reason(self) -> str:
        """Return why it exited."""
        status = self._status()
        if status >= 0:
            return f"its process ended with status {status}"
        return f"its process was killed by {signal.Signals(-status).name}"

    def _status(self) -> int:
        """Return the exit status; negative for a signal."""
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The connection is closed but the process still runs.
            self._process.kill()
            return self._process.wait()

    def close(self) -> None:
        """Close the connection, which ends an idle worker; terminate a busy one."""
        self.line.close()
        if self.job is not None or not self._ready:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has exited after `close`."""
        self._status()
        assert self._process.stdin is not None
        self._process.stdin.close()
