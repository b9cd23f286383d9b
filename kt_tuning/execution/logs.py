"""Log records of workers, forwarded to the process of the search."""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging.handlers import QueueHandler

from kt_tuning.core.progress import FORWARDED

LOGGER = "kt_tuning"
LOGGED = "logged"
"""Kind of the message that carries a record from a worker to its parent."""


class ForwardingHandler(QueueHandler):
    """Passes warnings, errors and progress that the toolkit logs in a worker to a function.

    Args:
        send: Called with each `logging.LogRecord`, ready to be pickled, perhaps from several
            threads.
    """

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]
        self._send = send
        self.addFilter(_is_forwarded)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that `prepare` has made picklable."""
        self._send(record)

    def attach(self) -> None:
        """Forward the log records of this process from now on."""
        logger = logging.getLogger(LOGGER)
        logger.addHandler(self)
        logger.setLevel(logging.INFO)


def _is_forwarded(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or getattr(record, FORWARDED, False)


def show(record: logging.LogRecord) -> None:
    """Log a record of another process in this one."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
