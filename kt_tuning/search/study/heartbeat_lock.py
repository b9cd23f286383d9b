"""Heartbeats and locks of processes, perhaps on several machines, that share a study."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage

from kt_tuning.core.errors import StorageError
from kt_tuning.search.study.urls import server_of

logger = logging.getLogger("kt_tuning")

LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"),
    # At most a year: MariaDB has no infinite timeout.
    "mysql": ("SELECT GET_LOCK(:key, 31536000)", "SELECT RELEASE_LOCK(:key)"),
}
"""By database: statements that take and release an advisory lock. It is released when a session
dies."""


def is_shared(storage: str | Path | BaseStorage | None) -> bool:
    """Whether several processes may share a storage.

    True for the URL of a database server and for a storage of Optuna with heartbeats.
    """
    if isinstance(storage, str):
        return server_of(storage) is not None
    return isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None


@contextlib.contextmanager
def advisory_lock(engine: sqlalchemy.Engine, name: str) -> Iterator[None]:
    """Hold a lock of the database in the block; wait until no other process holds it.

    Raises:
        StorageError: if the database has no advisory locks.
    """
    dialect = engine.dialect.name
    if dialect not in LOCKS:
        raise StorageError(
            f"Processes share a study in a {' or '.join(LOCKS)} database. Received: {dialect}"
        )
    digest = hashlib.sha256(f"kt-tuning {name}".encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    key = {"key": number if dialect == "postgresql" else digest.hex()[:32]}
    take, leave = LOCKS[dialect]
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(take), key)
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text(leave), key)


class Heartbeats:
    """Heartbeats of the trials of this process, and locks of the study.

    Args:
        backend: The database.
        study_id: Id of the study in the database.
        name: Name of the study.
    """

    def __init__(self, backend: RDBStorage, study_id: int, name: str) -> None:
        self._backend = backend
        self._study_id = study_id
        self._name = name
        self._alive: set[int] = set()
        self._thread: threading.Thread | None = None

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Exclude other processes from blocks of the same name."""
        return advisory_lock(self._backend.engine, f"{name} {self._name}")

    def start(self, backend_id: int) -> None:
        """Record heartbeats of a trial from now on."""
        self._backend.record_heartbeat(backend_id)
        self._alive.add(backend_id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
            self._thread.start()

    def stop(self, backend_id: int) -> None:
        """Record no more heartbeats of a trial."""
        self._alive.discard(backend_id)

    def dead(self) -> list[int]:
        """The running trials without a heartbeat for longer than the grace period."""
        return self._backend._get_stale_trial_ids(self._study_id)

    def _beat(self) -> None:
        pause, interval = threading.Event(), self._backend.heartbeat_interval
        while not pause.wait(interval):
            for backend_id in list(self._alive):
                try:
                    self._backend.record_heartbeat(backend_id)
                except Exception:
                    # The next one may succeed, and the search itself reports the error.
                    logger.debug("no heartbeat of trial %d", backend_id, exc_info=True)


def heartbeats_of(backend: BaseStorage, study_id: int, name: str) -> Heartbeats | None:
    """Return the heartbeats of a shared study, None if it is not shared."""
    if isinstance(backend, RDBStorage) and is_shared(backend):
        return Heartbeats(backend, study_id, name)
    return None
