"""Trials on machines without access to the files and the clock of this one.

A trial is sent with a snapshot of its folder and works in a copy; changes of the copy come back
with each report and with the result. Neither the work nor the driver notices. A trial on a lost
machine that still runs there has no further effect here. With a storage, a directory that all nodes
share or an object store, checkpoints do not pass through this machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from kt_tuning.core.atomic import WRITING, atomic_write
from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError, require_extra
from kt_tuning.core.json_record import content_checked, read_json, write_json
from kt_tuning.execution import Driver, Executor, Report, Work
from kt_tuning.run.layout import STORAGE
from kt_tuning.trials.spec import TrialSpec
from kt_tuning.trials.trial_files import COMMITS

Files = Mapping[str, bytes]
"""Contents by path in the folder, in the order in which they must be written."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """Changes of a folder.

    Attributes:
        written: New and changed files.
        removed: Paths of removed files.
    """

    written: Files = dataclasses.field(default_factory=dict)
    removed: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Apply the changes to `folder`.

        A kill leaves a state that a kill in the original folder could have left: each file is
        complete, and files that refer to others are written after them.
        """
        for name, content in self.written.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=True, sync_name=path.name in COMMITS) as temporary:
                temporary.write_bytes(content)
        for name in self.removed:
            (folder / name).unlink(missing_ok=True)
            # Only an empty folder is removed.
            with contextlib.suppress(OSError):
                if "/" in name:
                    (folder / name).parent.rmdir()


def read_folder(folder: Path) -> Files:
    """Return all files in `folder`; none if it does not exist."""
    return {name: (folder / name).read_bytes() for name in _stamps(folder)}


class Watch:
    """Reports changes of a folder since the last report.

    Args:
        folder: The folder in its present state.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _stamps(folder)

    def changes(self) -> Changes:
        """Return the changes since the last call, or since construction."""
        known, self._known = self._known, _stamps(self._folder)
        return Changes(
            {
                name: (self._folder / name).read_bytes()
                for name, stamp in self._known.items()
                if known.get(name) != stamp
            },
            tuple(name for name in known if name not in self._known),
        )


class Storage:
    """Keeps folders by name in a directory or an object store; it is sent to the nodes.

    Args:
        url: An absolute path, the same on all nodes; or a URL that fsspec understands, such as
            s3://bucket/folder.

    Raises:
        MissingExtraError: if a package is not installed.
        OptionError: if fsspec does not know the URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._open()

    def _open(self) -> tuple[Any, str]:
        """Return the file system, which fsspec caches, and the path in it."""
        require_extra("A storage", "ray", "fsspec")
        import fsspec

        try:
            system, root = fsspec.core.url_to_fs(self._url)
        except ImportError as error:
            raise MissingExtraError(f"The storage {self._url} needs a package: {error}") from error
        except ValueError as error:
            raise OptionError(
                f"fsspec does not understand the storage {self._url}: {error}"
            ) from error
        # Other processes write there as well.
        system.invalidate_cache()
        return system, root

    def read(self, name: str) -> Files:
        """Return all files of a folder; none if it does not exist."""
        system, root = self._open()
        folder = f"{root}/{name}"
        found = system.find(folder) if system.exists(folder) else []
        whole = [path for path in found if not path.rpartition("/")[2].startswith(WRITING)]
        return {path.removeprefix(f"{folder}/"): system.cat_file(path) for path in whole}

    def write(self, name: str, changes: Changes) -> None:
        """Apply changes to a folder."""
        system, root = self._open()
        folder = f"{root}/{name}"
        if "file" in system.protocol:
            # Unlike an object store it could leave half a file.
            changes.apply(Path(folder))
            return
        for file, content in changes.written.items():
            path = f"{folder}/{file}"
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, content)
        for file in changes.removed:
            if system.exists(f"{folder}/{file}"):
                system.rm_file(f"{folder}/{file}")

    def remove(self, name: str) -> None:
        """Remove a folder, if it exists."""
        system, root = self._open()
        if system.exists(f"{root}/{name}"):
            system.rm(f"{root}/{name}", recursive=True)


def open_storage(place: str, run: Path) -> Storage:
    """Return the part of a storage that belongs to a run directory alone.

    Args:
        place: A directory, or a URL that fsspec understands.
        run: The run directory.

    Raises:
        MissingExtraError: if a package that it needs is not installed.
        OptionError: if fsspec does not know the URL.
        StorageError: if the directory cannot be written.
    """
    path = run / STORAGE
    known = path.exists()
    name = f"{run.name}-{uuid.uuid4().hex}"
    if known:
        with content_checked(path):
            name = read_json(path)["name"]
    if "://" in place:
        storage = Storage(f"{place.rstrip('/')}/{name}")
    else:
        root = Path(place).expanduser().absolute() / name
        storage = Storage(str(root))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot write the storage {root}: {error.strerror}. Choose another one."
            ) from error
    if not known:
        # Last, so a refused storage leaves nothing in the run directory.
        write_json(path, {"name": name})
    return storage


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
    def started(self) -> Iterator[Self]:
        """Start the executor."""
        with self._executor.started():
            yield self

    def run(self, work: Work, driver: Driver) -> None:
        """Run trials until none is left and none is running."""
        self._executor.run(_RemoteWork(work, self._storage), _LocalDriver(driver, self._storage))


class _Job:
    """A trial, which is pickled with the files that its folder has at that time.

    A second attempt thus includes the changes that came back from the first.

    Args:
        spec: The trial, with paths and deadline of this machine.
    """

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec

    def __getstate__(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "spec": spec,
            "left": None if spec.deadline is None else spec.deadline - time.monotonic(),
            "files": read_folder(spec.directory),
            "origin": None if spec.origin is None else read_folder(spec.origin),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.spec = state["spec"]
        self._sent = state

    def unpack(self, scratch: Path) -> TrialSpec:
        """Write the files, on the other machine; return the trial with its paths and deadline.

        Args:
            scratch: An empty folder.
        """
        sent = self._sent
        directory, origin = scratch / self.spec.directory.name, None
        directory.mkdir()
        Changes(sent["files"]).apply(directory)
        if sent["origin"] is not None:
            origin = scratch / "origin"
            Changes(sent["origin"]).apply(origin)
        deadline = None if sent["left"] is None else time.monotonic() + sent["left"]
        return dataclasses.replace(self.spec, directory=directory, origin=origin, deadline=deadline)


@dataclasses.dataclass(frozen=True)
class _RemoteWork:
    """Runs a trial on the remote machine."""

    work: Work
    storage: Storage | None

    def __call__(self, job: _Job, report: Report) -> tuple[Any, Changes]:
        with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
            spec = job.unpack(Path(scratch))
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


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return time, inode and size of each file, in the order in which files must be written.

    The inode identifies a file that is replaced within a tick of the clock.
    """
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(WRITING):
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            found[name] = (status.st_mtime_ns, status.st_ino, status.st_size)
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[1])))


def _rank(name: str) -> int:
    base = name.rpartition("/")[2]
    return COMMITS.index(base) + 1 if base in COMMITS else 0
