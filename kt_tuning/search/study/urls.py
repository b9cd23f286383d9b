"""URLs of database servers: their drivers, and their passwords, which are written nowhere."""

from __future__ import annotations

import os

import sqlalchemy
import sqlalchemy.exc

PASSWORD = "KT_TUNING_STORAGE_PASSWORD"
"""Variable that holds the password of a URL without one."""
SECRETS = ("password", "passwd", "sslpassword")
"""Options of a URL, after its question mark, that are no one else's business."""
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
"""By server: the package that an extra of the server's name brings."""
ALIASES = {"mariadb": "mysql"}
"""Servers that Optuna knows by another one's name."""


def server_of(url: str) -> str | None:
    """Which of `DRIVERS` a URL is of; None for a file, or any other database."""
    name = url.partition("://")[0].partition("+")[0]
    name = ALIASES.get(name, name)
    return name if name in DRIVERS else None


def completed(url: str) -> str:
    """The URL of a server with all that it takes to connect.

    Args:
        url: Without a driver, as in "mysql://user@host/name", it is for that of our extra; without
            a password for that in `KT_TUNING_STORAGE_PASSWORD`, if there is one.

    Raises:
        sqlalchemy.exc.ArgumentError: if it is no URL.
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


def without_password(url: str) -> str:
    """The URL as it may be shown and written: its password comes from elsewhere the next time."""
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        # A path, or something that cannot be connected to anyway.
        return url
    shown = sqlalchemy.URL.create(
        parsed.drivername,
        username=parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query=parsed.query,
    )
    return shown.difference_update_query(SECRETS).render_as_string(hide_password=False)
