"""Trials on machines that do not see the files of this one, and have a clock of their own.

A trial takes along what is in its folder and works in a copy; what changes there comes back with
each report and with the result. Who runs trials and who decides on them notice nothing of it. A
trial whose machine was lost, and which is still running there, changes nothing here any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from kt_tuning.execution import Driver, Executor, Report, Work
from kt_tuning.trials.folder import Changes, Files, Watch, read_folder
from kt_tuning.trials.spec import TrialSpec
from kt_tuning.trials.storage import Storage


class RemoteExecutor(Executor):
    """Runs trials by another executor, whose workers see none of our files.

    Args:
        executor: Where they run.
        storage: Where trials keep what they go on from; here, if None.
    """

    def __init__(self, executor: Executor, storage: Storage | None = None) -> None:
        self._executor = executor
        self._storage = storage

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Jobs at the same time, at most."""
        return self._executor.workers

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Have the executor get ready."""
        with self._executor.started(jobs):
            yield self

    def run(self, work: Work, driver: Driver) -> None:
        """Run trials until there are none left and none is running."""
        self._executor.run(_Away(work, self._storage), _Home(driver, self._storage))


@dataclasses.dataclass(frozen=True)
class _Departure:
    """A trial that travels: pickled, it is a `_Luggage` of what its folder holds by then.

    So a second attempt takes along what came back from the first one.
    """

    spec: TrialSpec

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        spec = self.spec
        left = None if spec.deadline is None else spec.deadline - time.monotonic()
        origin = None if spec.origin is None else read_folder(spec.origin)
        return _Luggage, (spec, left, read_folder(spec.directory), origin)


@dataclasses.dataclass(frozen=True)
class _Luggage:
    """A trial that has arrived.

    Attributes:
        spec: As it was at home.
        left: Seconds to its deadline when it left, or None.
        files: Its folder.
        origin: The folder of the trial that it starts from, or None.
    """

    spec: TrialSpec
    left: float | None
    files: Files
    origin: Files | None

    def unpack(self, scratch: Path) -> TrialSpec:
        """Write the files below `scratch`; the trial as it is here."""
        directory = scratch / self.spec.directory.name
        directory.mkdir()
        Changes(self.files).apply(directory)
        origin = None
        if self.origin is not None:
            origin = scratch / "origin"
            Changes(self.origin).apply(origin)
        deadline = None if self.left is None else time.monotonic() + self.left
        return dataclasses.replace(self.spec, directory=directory, origin=origin, deadline=deadline)


@dataclasses.dataclass(frozen=True)
class _Away:
    """What runs a trial where it has travelled to."""

    work: Work
    storage: Storage | None

    def __call__(self, luggage: _Luggage, report: Report) -> tuple[Any, Changes]:
        with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
            spec = luggage.unpack(Path(scratch))
            at_home = Watch(spec.directory)
            if self.storage is None:
                result = self.work(spec, lambda *news: report(at_home.changes(), *news))
            else:
                result = self._run_with(self.storage, spec, report)
            return result, at_home.changes()

    def _run_with(self, storage: Storage, spec: TrialSpec, report: Report) -> Any:
        name = spec.directory.name
        # What an attempt that was lost has left there is later than what came along.
        Changes(storage.read(name)).apply(spec.directory)
        stored = Watch(spec.directory)

        def tell(*news: Any) -> Any:
            storage.write(name, stored.changes())
            return report(Changes(), *news)

        return self.work(spec, tell)


@dataclasses.dataclass(frozen=True)
class _Home:
    """A driver's ear for trials that travel."""

    driver: Driver
    storage: Storage | None

    def next_job(self) -> _Departure | None:
        spec = self.driver.next_job()
        return None if spec is None else _Departure(spec)

    def reported(self, job: _Departure, changes: Changes, *news: Any) -> Any:
        changes.apply(job.spec.directory)
        return self.driver.reported(job.spec, *news)

    def finished(self, job: _Departure, result: tuple[Any, Changes]) -> None:
        record, changes = result
        changes.apply(job.spec.directory)
        self._forget(job)
        self.driver.finished(job.spec, record)

    def crashed(self, job: _Departure, reason: str) -> bool:
        again = self.driver.crashed(job.spec, reason)
        if not again:
            self._forget(job)
        return again

    def _forget(self, job: _Departure) -> None:
        if self.storage is not None:
            self.storage.remove(job.spec.directory.name)
