"""The interface of executors, and the executor of this process.

An executor calls `work(job, report) -> result` somewhere and reports to a `Driver`, which decides
what runs next. It knows nothing of hyperparameters.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

Report = Callable[..., Any]
"""What `work` calls to report progress; it returns the answer of the driver."""

Work = Callable[[Any, Report], Any]
"""(job, report) -> result. It raises only errors that should end everything."""

MEMORY = "memory may have run out: use fewer workers, smaller batches or smaller images"
NATIVE = (
    "native code failed: try smaller images, another hypermodel, or TF_ENABLE_ONEDNN_OPTS=0 in the "
    "environment"
)
HINTS = {
    "SIGKILL": MEMORY,
    "SIGBUS": f"a file that it reads may have been truncated, or the disk may be full; or {NATIVE}",
    **dict.fromkeys(("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT"), NATIVE),
}
"""Likely cause of a crash and what to try, by the signal that ended the process."""


class Driver(Protocol):
    """Decides what runs. Its methods are called one at a time in the thread of the caller."""

    def next_job(self) -> Any | None:
        """Return the next job, or None if there is none now; called again after each result."""

    def reported(self, job: Any, *news: Any) -> Any:
        """Receive the progress of a job, and return the answer to it."""

    def finished(self, job: Any, result: Any) -> None:
        """Receive the result of a job."""

    def crashed(self, job: Any, reason: str) -> bool:
        """Return whether a job whose process died runs once more."""


class Executor(ABC):
    """A place where jobs run.

    Attributes:
        workers: Largest number of jobs at the same time.
    """

    workers: int = 1

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start workers for a `run` in the block while the caller prepares it."""
        yield self

    @abstractmethod
    def run(self, work: Work, driver: Driver) -> None:
        """Run jobs until none is left and none is running.

        Raises:
            Exception: any error of `work`; running jobs are then stopped.
        """


class Serial(Executor):
    """Runs jobs in this process: nothing is copied, and a debugger works."""

    def run(self, work: Work, driver: Driver) -> None:
        """Run one job after the other."""
        while (job := driver.next_job()) is not None:
            driver.finished(job, work(job, functools.partial(driver.reported, job)))


class Worker(ABC):
    """The executor's side of a worker in another process.

    Attributes:
        job: Its job, or None.
    """

    job: Any | None = None

    @abstractmethod
    def receive(self) -> tuple[str, Any]:
        """Return the kind and the content of its next message.

        Returns:
            ("ready", None), ("report", arguments), ("logged", record), ("finished", result) or
            ("raised", error).

        Raises:
            EOFError: if it died, with the reason.
        """

    @abstractmethod
    def answer(self, answer: Any) -> None:
        """Send the answer to its report."""

    def handle(self, message: tuple[str, Any], driver: Driver) -> None:
        """Pass a message to the driver.

        Raises:
            Exception: any error of its work.
        """
        kind, content = message
        if kind == "report":
            self.answer(driver.reported(self.job, *content))
        elif kind == "logged":
            logger = logging.getLogger(content.name)
            if logger.isEnabledFor(content.levelno):
                logger.handle(content)
        elif kind == "raised":
            raise content
        elif kind == "finished":
            job, self.job = self.job, None
            driver.finished(job, content)


def crash_hint(reason: str = "") -> str:
    """Return a sentence about the likely cause of a crash and what to try.

    Args:
        reason: How the process ended; the name of a signal in it selects the hint.
    """
    known = (text for name, text in HINTS.items() if name in reason)
    text = next(known, f"{MEMORY}; or {NATIVE}")
    return f"{text[0].upper()}{text[1:]}."
