"""Opening Optuna's storages without its log lines."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage

from kt_tuning.core.errors import MissingExtraError, StorageError, missing_extra
from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.search.study.heartbeat_lock import advisory_lock, is_shared
from kt_tuning.search.study.urls import DRIVERS, PASSWORD, completed, server_of, without_password

HEARTBEAT, GRACE = 20, 90
"""In a shared database: seconds between two heartbeats of a running trial, and seconds without one
until another process takes the trial over."""
BUSY_SECONDS = 60.0
"""Seconds that a writer waits for another one, such as a dashboard, to release the file."""


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
        with quiet_optuna():
            if is_shared(storage):
                return _open_server(completed(storage))
            return RDBStorage(storage, engine_kwargs=_engine(storage))
    except ImportError as error:
        raise _missing_driver(storage, error) from error
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(
            f"Cannot open {without_password(storage)} as an Optuna storage: {reason}. Expected a "
            "SQLite file (move a damaged file away to start anew), or a URL such as "
            f"postgresql://user@host/name (with its password in {PASSWORD})."
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
