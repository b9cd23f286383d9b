"""Log records of a worker, shown where the search runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging.handlers import QueueHandler

LOGGER = "kt_tuning"
LOGGED = "logged"
"""Kind of the message that carries a record from a worker to its parent."""


class ForwardingHandler(QueueHandler):
    """Hands warnings and errors of the toolkit's logger to a function, ready to be pickled.

    Args:
        send: Called with each `logging.LogRecord`, perhaps from several threads.
    """

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]
        self._send = send
        self.setLevel(logging.WARNING)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that `prepare` has made ready."""
        self._send(record)

    def attach(self) -> None:
        """Take what the toolkit logs in this process from now on."""
        logging.getLogger(LOGGER).addHandler(self)


def show(record: logging.LogRecord) -> None:
    """Log a record of another process as if it had been logged here."""
    logging.getLogger(record.name).handle(record)
