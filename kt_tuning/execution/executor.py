"""What the executors have in common: they carry jobs to where they run, and their news back.

An executor knows nothing of hyperparameters. It is handed `work(job, report) -> result` and a
`Driver`, which decides what runs next and hears of everything that happens.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

Report = Callable[..., Any]
"""What `work` calls to tell how far it is; returns what the driver answers."""

Work = Callable[[Any, Report], Any]
"""(job, report) -> result. It raises only what should end everything."""


class Driver(Protocol):
    """Decides what runs. Its methods are called one at a time, in the caller's thread."""

    def next_job(self) -> Any | None:
        """The next job, or None if there is none now; asked again after each result."""

    def reported(self, job: Any, *news: Any) -> Any:
        """Hear what a job reports, and answer it."""

    def finished(self, job: Any, result: Any) -> None:
        """Hear the result of a job."""

    def crashed(self, job: Any, reason: str) -> bool:
        """Hear that a job's process died; whether to run the job once more."""


class Executor(ABC):
    """A place where jobs run.

    Attributes:
        workers: Jobs at the same time, at most.
    """

    workers: int = 1

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Get ready for a `run` in the block while the caller still prepares it.

        Args:
            jobs: How many there will be, at most; None if that is not known.
        """
        yield self

    @abstractmethod
    def run(self, work: Work, driver: Driver) -> None:
        """Run jobs until there are none left and none is running.

        Raises:
            Exception: whatever `work` raises. Jobs that are running then are stopped.
        """
