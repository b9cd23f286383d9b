"""Several processes, on several machines perhaps, with one study in a database server."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage

from kt_tuning.errors import StorageError
from kt_tuning.search.study.urls import server_of

logger = logging.getLogger("kt_tuning")

LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"),
    # For a year, if need be: MariaDB knows no "for ever".
    "mysql": ("SELECT GET_LOCK(:key, 31536000)", "SELECT RELEASE_LOCK(:key)"),
}
"""By database: how one of several sessions gets ahead of the others, and makes way again. A session
that dies makes way, too."""


def is_shared(storage: str | Path | BaseStorage | None) -> bool:
    """Whether several processes may use a storage at the same time.

    A database server's URL does it, or a storage of Optuna with heartbeats.
    """
    if isinstance(storage, str):
        return server_of(storage) is not None
    return isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None


@contextlib.contextmanager
def alone(engine: sqlalchemy.Engine, name: str) -> Iterator[None]:
    """Wait until no other process is in such a block with the same database and name.

    Raises:
        StorageError: if it is a database that has no such locks.
    """
    dialect = engine.dialect.name
    if dialect not in LOCKS:
        raise StorageError(
            f"Several processes share a study in {' or '.join(LOCKS)}. Received: {dialect}"
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


class Sharing:
    """Signs of life of this process' trials, and turns at the study.

    Args:
        backend: The database.
        study_id: Its number of the study.
        name: Of the study.
    """

    def __init__(self, backend: RDBStorage, study_id: int, name: str) -> None:
        self._backend = backend
        self._study_id = study_id
        self._name = name
        self._alive: set[int] = set()
        self._thread: threading.Thread | None = None

    def turn(self, at: str) -> contextlib.AbstractContextManager[None]:
        """In its block no other process has its turn at the same."""
        return alone(self._backend.engine, f"{at} {self._name}")

    def claim(self, backend_id: int) -> None:
        """Give signs of life of a trial from now on."""
        self._backend.record_heartbeat(backend_id)
        self._alive.add(backend_id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
            self._thread.start()

    def release(self, backend_id: int) -> None:
        """Give no more signs of life of a trial."""
        self._alive.discard(backend_id)

    def dead(self) -> list[int]:
        """The running trials that have given none for too long."""
        return self._backend._get_stale_trial_ids(self._study_id)

    def _beat(self) -> None:
        pause, interval = threading.Event(), self._backend.heartbeat_interval
        while not pause.wait(interval):
            for backend_id in list(self._alive):
                try:
                    self._backend.record_heartbeat(backend_id)
                except Exception:
                    # The next one may get through, and the search itself says what is wrong.
                    logger.debug("no sign of life of trial %d", backend_id, exc_info=True)


def sharing_of(backend: BaseStorage, study_id: int, name: str) -> Sharing | None:
    """How a study is shared; None if it is not."""
    if isinstance(backend, RDBStorage) and is_shared(backend):
        return Sharing(backend, study_id, name)
    return None
