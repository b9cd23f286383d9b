"""URLs of database servers: their drivers and passwords. Passwords are never written."""

from __future__ import annotations

import os

import sqlalchemy
import sqlalchemy.exc

PASSWORD = "KT_TUNING_STORAGE_PASSWORD"
"""Environment variable with the password of a URL without one."""
SECRETS = ("password", "passwd", "sslpassword")
"""Query options of a URL that are secret."""
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
"""Package by server; the extra that installs it has the name of the server."""
ALIASES = {"mariadb": "mysql"}
"""Other names of servers."""


def server_of(url: str) -> str | None:
    """Return the server in `DRIVERS` of a URL; None for files and other databases."""
    name = url.partition("://")[0].partition("+")[0]
    name = ALIASES.get(name, name)
    return name if name in DRIVERS else None


def completed(url: str) -> str:
    """Return the URL of a server with driver and password.

    Args:
        url: A URL. The default driver is that of the extra; the default password that in
            KT_TUNING_STORAGE_PASSWORD, if it is set.

    Raises:
        sqlalchemy.exc.ArgumentError: if it is not a URL.
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
    """Return the URL without secrets, as it may be shown and written."""
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
