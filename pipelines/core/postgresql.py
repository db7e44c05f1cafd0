"""PostgreSQL as its own client sees it: whether a server lets us in, and locks that all machines share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.urls import hide_password

if TYPE_CHECKING:
    from psycopg import Connection

ANSWER = 5  # seconds to wait for a connection; libpq takes whole ones, and no fewer than two
EXTRA = "install Genloop with its extra, `pip install 'genloop[postgres]'`"
# After so many seconds of silence the server asks a client whether it still lives, and gives its locks away when it does not.
KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
DEPTHS = threading.local()  # how often the thread holds each lock


def is_postgresql(url: str) -> bool:
    return url.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


def connect(url: str, source: str) -> Connection:
    """A connection where each statement is a transaction. source: the variable that names the URL, as SQLAlchemy takes it.

    Raises:
        InputError: the package is missing.
        psycopg.Error: the server does not answer, or does not let us in.
    """
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise InputError(f"{source} names PostgreSQL, but the package {error.name} is missing: {EXTRA}") from None
    return psycopg.connect(f"postgresql://{url.partition('://')[2]}", autocommit=True, connect_timeout=ANSWER)


def fault(url: str, source: str) -> str | None:
    """Why the server lets nobody in by this URL; None where it does. Raises InputError where the package is missing."""
    try:
        connect(url, source).close()
    except InputError:
        raise
    except Exception as error:  # psycopg's, which may be missing
        return explain(error)
    return None


@contextmanager
def lock(url: str, source: str, key: int) -> Iterator[None]:
    """A block for one thread at a time, of all processes and machines; a thread that holds the lock may ask for it again.

    A transaction holds it, so it ends with the connection, also where the process is killed, and a pooler keeps it.

    Raises InputError where the package is missing, and GenloopError where the server does not answer.
    """
    depths: Counter[tuple[str, int]] = DEPTHS.__dict__.setdefault("depths", Counter())
    if depths[url, key]:
        yield
        return
    connection = acquire(url, source, key)
    depths[url, key] += 1
    try:
        yield
    finally:
        depths[url, key] -= 1
        with suppress(Exception):  # the server has hung up, and so has the lock ended
            connection.rollback()
            connection.close()


def acquire(url: str, source: str, key: int) -> Connection:
    """A connection whose transaction holds the lock."""
    try:
        connection = connect(url, source)
        connection.autocommit = False
        for name, seconds in KEEPALIVES.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, str(seconds)))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
    except InputError:
        raise
    except Exception as error:  # psycopg's, which may be missing
        raise GenloopError(f"PostgreSQL at {hide_password(url)} does not answer ({explain(error)}); see {source}") from None
    return connection


def explain(error: Exception) -> str:
    """The last part of `connection failed: connection to server at … failed: FATAL:  WORDS`."""
    words = str(error).strip().splitlines() or [type(error).__name__]
    last = words[0].rpartition("failed: ")[2].partition("FATAL: ")
    found = hide_password((last[2] or last[0]).strip())  # an address that cannot be read is quoted whole
    return f"nothing came within {ANSWER} seconds" if "timeout expired" in found else found
