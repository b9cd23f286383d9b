"""Trials on machines without access to the files and the clock of this one.

A trial is sent with a snapshot of its folder and works in a copy; changes of the copy come back
with each report and with the result. Neither the work nor the driver notices. A trial on a lost
machine that still runs there has no further effect here.
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
from kt_tuning.trials.spec import TrialSpec
from kt_tuning.trials.storage import Changes, Files, Storage, Watch, read_folder


class RemoteExecutor(Executor):
    """Runs trials by another executor, whose workers have no access to the files of this machine.

    Args:
        executor: The executor of the jobs.
        storage: Storage of the checkpoints; the folders of this machine if None.
    """

    def __init__(self, executor: Executor, storage: Storage | None = None) -> None:
        self._executor = executor
        self._storage = storage

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Largest number of jobs at the same time."""
        return self._executor.workers

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Start the executor."""
        with self._executor.started(jobs):
            yield self

    def run(self, work: Work, driver: Driver) -> None:
        """Run trials until none is left and none is running."""
        self._executor.run(_RemoteWork(work, self._storage), _LocalDriver(driver, self._storage))


@dataclasses.dataclass(frozen=True)
class _Job:
    """A trial that is pickled as a `_Snapshot` of its folder at that time.

    A second attempt thus includes the changes that came back from the first.
    """

    spec: TrialSpec

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        spec = self.spec
        left = None if spec.deadline is None else spec.deadline - time.monotonic()
        origin = None if spec.origin is None else read_folder(spec.origin)
        return _Snapshot, (spec, left, read_folder(spec.directory), origin)


@dataclasses.dataclass(frozen=True)
class _Snapshot:
    """A trial with the files of its folder.

    Attributes:
        spec: The trial, with paths and deadline of the sending machine.
        left: Seconds to its deadline when it was sent, or None.
        files: Files of its folder.
        origin: Files of the trial whose weights it starts from, or None.
    """

    spec: TrialSpec
    left: float | None
    files: Files
    origin: Files | None

    def unpack(self, scratch: Path) -> TrialSpec:
        """Write the files to `scratch`; return the trial with local paths and deadline."""
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
class _RemoteWork:
    """Runs a trial on the remote machine."""

    work: Work
    storage: Storage | None

    def __call__(self, snapshot: _Snapshot, report: Report) -> tuple[Any, Changes]:
        with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
            spec = snapshot.unpack(Path(scratch))
            sent = Watch(spec.directory)
            if self.storage is None:
                result = self.work(spec, lambda *news: report(sent.changes(), *news))
            else:
                result = self._run_with(self.storage, spec, report)
            return result, sent.changes()

    def _run_with(self, storage: Storage, spec: TrialSpec, report: Report) -> Any:
        name = spec.directory.name
        # The files of a lost attempt in the storage are newer than the snapshot.
        Changes(storage.read(name)).apply(spec.directory)
        stored = Watch(spec.directory)

        def tell(*news: Any) -> Any:
            storage.write(name, stored.changes())
            return report(Changes(), *news)

        return self.work(spec, tell)


@dataclasses.dataclass(frozen=True)
class _LocalDriver:
    """Applies the changes of remote trials before their driver is called."""

    driver: Driver
    storage: Storage | None

    def next_job(self) -> _Job | None:
        spec = self.driver.next_job()
        return None if spec is None else _Job(spec)

    def reported(self, job: _Job, changes: Changes, *news: Any) -> Any:
        changes.apply(job.spec.directory)
        return self.driver.reported(job.spec, *news)

    def finished(self, job: _Job, result: tuple[Any, Changes]) -> None:
        record, changes = result
        changes.apply(job.spec.directory)
        self._forget(job)
        self.driver.finished(job.spec, record)

    def crashed(self, job: _Job, reason: str) -> bool:
        again = self.driver.crashed(job.spec, reason)
        if not again:
            self._forget(job)
        return again

    def _forget(self, job: _Job) -> None:
        if self.storage is not None:
            self.storage.remove(job.spec.directory.name)
