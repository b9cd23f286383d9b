"""Opening Optuna's storages; passwords, heartbeats and locks of shared ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage

from kt_tuning.core.errors import MissingExtraError, StorageError, is_disk_full, missing_extra
from kt_tuning.core.json_record import RESTORE
from kt_tuning.core.quiet import quiet_optuna

logger = logging.getLogger("kt_tuning")

PASSWORD = "KT_TUNING_STORAGE_PASSWORD"
"""Environment variable with the password of a URL without one."""
STORAGE = "KT_TUNING_STORAGE"
"""Environment variable that names the storage of the runs that are opened again."""
SECRETS = ("password", "passwd", "sslpassword")
"""Query options of a URL that are secret."""
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
"""Package by server; the extra that installs it has the name of the server."""
ALIASES = {"mariadb": "mysql"}
"""Other names of servers."""
LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"),
    # At most a year: MariaDB has no infinite timeout.
    "mysql": ("SELECT GET_LOCK(:key, 31536000)", "SELECT RELEASE_LOCK(:key)"),
}
"""By database: statements that take and release an advisory lock. It is released when a session
dies."""
HEARTBEAT, GRACE = 20, 90
"""In a shared database: seconds between two heartbeats of a running trial, and seconds without one
until another process takes the trial over."""
BUSY_SECONDS = 60.0
"""Seconds that a writer waits for another one, such as a dashboard, to release the file."""


def server_of(url: str) -> str | None:
    """Return the server in `DRIVERS` of a URL; None for files and other databases."""
    name = url.partition("://")[0].partition("+")[0]
    name = ALIASES.get(name, name)
    return name if name in DRIVERS else None


def completed(url: str) -> str:
    """Return the URL of a server with driver and password.

    The default driver is that of the extra; the default password that in
    KT_TUNING_STORAGE_PASSWORD.
    """
    server = server_of(url)
    if server is None:
        return url
    parsed = sqlalchemy.make_url(url)
    driver = parsed.drivername.partition("+")[2] or DRIVERS[server]
    parsed = parsed.set(drivername=f"{server}+{driver}")
    if parsed.password is None and PASSWORD in os.environ:
        parsed = parsed.set(password=os.environ[PASSWORD])
    return parsed.render_as_string(hide_password=False)


def without_password(url: object) -> str:
    """Return the URL without secrets, as it may be shown and written; another storage as text."""
    if not isinstance(url, str):
        return str(url)
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        # A path, or something that cannot be connected to anyway.
        return url
    # `URL.set` cannot remove a password.
    shown = parsed._replace(password=None).difference_update_query(SECRETS)
    return shown.render_as_string(hide_password=False)


def trusted_storage(recorded: Any, file: Path) -> str | None:
    """Return the storage that a file records, if the environment names it too.

    A run directory may come from someone else. What it records is therefore neither connected to,
    which would send a password there, nor written to, unless the user names it.

    Args:
        recorded: What the file has as path or URL; None if it has none.
        file: The file, for the message.

    Raises:
        StorageError: if `KT_TUNING_STORAGE` is not set to the recorded storage, or the file names
            no storage but something else.
    """
    if recorded is None:
        return None
    if not isinstance(recorded, str):
        raise StorageError(
            f"{file} is damaged: `storage` is a path or a URL. Received: {recorded!r}. {RESTORE}"
        )
    named = os.environ.get(STORAGE)
    if named is not None and without_password(named) == without_password(recorded):
        return named
    shown = without_password(recorded)
    raise StorageError(
        f"{file} names the storage {shown!r}, which is not opened: the file may come from someone "
        f"else. If you trust it, set the environment variable {STORAGE}={shown}, or pass it as "
        "--storage of `kt-tuning run` or as `storage` of `open_run`."
    )


def is_shared(storage: str | Path | BaseStorage | None) -> bool:
    """Whether several processes may share a storage.

    True for the URL of a database server and for a storage of Optuna with heartbeats.
    """
    if isinstance(storage, str):
        return server_of(storage) is not None
    return isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None


@contextlib.contextmanager
def advisory_lock(engine: sqlalchemy.Engine, name: str) -> Iterator[None]:
    """Hold a lock of the database in the block; wait until no other process holds it."""
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
    """Heartbeats of the trials of this process, and locks of a study in a database.

    Attributes:
        alive: Ids in the database of the trials that this process runs.
    """

    def __init__(self, backend: RDBStorage, study_id: int, name: str) -> None:
        self._backend = backend
        self._study_id = study_id
        self._name = name
        self.alive: set[int] = set()
        self._thread: threading.Thread | None = None

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Exclude other processes from blocks of the same name."""
        return advisory_lock(self._backend.engine, f"{name} {self._name}")

    def start(self, backend_id: int) -> None:
        """Record heartbeats of a trial from now on."""
        self._backend.record_heartbeat(backend_id)
        self.alive.add(backend_id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
            self._thread.start()

    def stop(self, backend_id: int) -> None:
        """Record no more heartbeats of a trial."""
        self.alive.discard(backend_id)

    def dead(self) -> list[int]:
        """The running trials without a heartbeat for longer than the grace period."""
        return self._backend._get_stale_trial_ids(self._study_id)

    def _beat(self) -> None:
        pause, interval = threading.Event(), self._backend.heartbeat_interval
        while not pause.wait(interval):
            for backend_id in list(self.alive):
                try:
                    self._backend.record_heartbeat(backend_id)
                except Exception:
                    # The next one may succeed, and the search itself reports the error.
                    logger.debug("no heartbeat of trial %d", backend_id, exc_info=True)


def open_storage(storage: str | Path | BaseStorage | None) -> BaseStorage:
    """Open a storage; a path is a SQLite file, None is memory.

    Raises:
        MissingExtraError: if the database's driver is not installed.
        StorageError: if it cannot be opened.
    """
    if isinstance(storage, BaseStorage):
        return storage
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, Path):
        storage = f"sqlite:///{storage}"
    try:
        with quiet_optuna(), storage_errors(storage):
            if is_shared(storage):
                return _open_server(completed(storage))
            return RDBStorage(storage, engine_kwargs=_engine(storage))
    except ImportError as error:
        raise _missing_driver(storage, error) from error


def close_storage(storage: BaseStorage) -> None:
    """Close the connections to a database; the next use opens them again."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def storage_errors(storage: str | Path | BaseStorage | None) -> Iterator[None]:
    """Convert errors of a damaged or unreachable database in the block to a StorageError."""
    try:
        yield
    except (
        *(sqlalchemy.exc.SQLAlchemyError, sqlite3.DatabaseError, StorageInternalError),
        *(json.JSONDecodeError, UnicodeDecodeError),
    ) as error:
        if is_disk_full(error):
            raise
        # Optuna's own errors of a transaction do not say what was wrong.
        cause = error.__cause__ if isinstance(error, StorageInternalError) else None
        reason = str(cause or error).splitlines()[0]
        raise StorageError(
            f"Cannot use {without_password(storage)} as an Optuna storage: {reason}. Expected a "
            "SQLite file that can be written, or a URL such as postgresql://user@host/name (with "
            f"its password in {PASSWORD}). If the file is damaged, restore it from a copy; or move "
            "it away, and `kt-tuning finalize` uses the finished trials. A search then needs "
            "another run directory."
        ) from error


def has_tables(storage: str | Path) -> bool:
    """Whether a database has Optuna's tables or cannot be read; `open_storage` then says why."""
    url = f"sqlite:///{storage}" if isinstance(storage, Path) else storage
    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).exists():
        return False
    try:
        engine = sqlalchemy.create_engine(completed(url))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError):
        return True
    try:
        return sqlalchemy.inspect(engine).has_table("studies")
    except sqlalchemy.exc.SQLAlchemyError:
        return True
    finally:
        engine.dispose()


def _missing_driver(url: str, error: ImportError) -> MissingExtraError:
    shown, server = without_password(url), server_of(url)
    if server is None:
        return MissingExtraError(f"{shown} needs a package that is not installed: {error}")
    purpose = (
        f"{shown} needs the package {error.name}; or a URL that begins with {server}://, which"
    )
    return missing_extra(purpose, server, DRIVERS[server])


def _open_server(url: str) -> RDBStorage:
    engine = sqlalchemy.create_engine(url)
    try:
        # Only one process may make Optuna's tables.
        with advisory_lock(engine, "tables"):
            return RDBStorage(
                url,
                # A server may close a connection after hours without use.
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
            )
    finally:
        engine.dispose()


def _engine(url: str) -> dict[str, Any]:
    """Options of SQLAlchemy's engine.

    SQLite uses a write-ahead log: an interrupted transaction leaves nothing behind, readers such
    as a dashboard never block the writer, and a commit needs no flush of the disk.
    """
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:"):
        return {}

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return {"creator": connect}
