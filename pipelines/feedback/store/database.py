"""The database of events: where it is, how it is opened, and that its tables are the newest. Nothing else opens it."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateSchema

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.store import tables

VARIABLE = "GENLOOP_DATABASE_URL"
WAIT = 30  # seconds for another process that is writing
IDLE = 5  # seconds after which a connection is checked before it is used
LOCK = 0x67656E6C6F6F70  # the key of our migrations among PostgreSQL's advisory locks


def address(url: str) -> URL:
    """The URL as SQLAlchemy needs it; raises InputError where it cannot be used."""
    expected = f"{VARIABLE}: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"{expected}; what came is no URL") from None  # it may hold a password
    kind = found.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InputError(f"{expected}; came {kind}://…")
    if not found.database or ":memory:" in found.database or found.database.startswith("file:"):
        raise InputError(f"{expected}; came {url}: a database in memory keeps nothing, so name a file")
    return found.set(drivername="sqlite")


def reachable(url: str) -> bool:
    """Whether the database can be asked: a file that does not exist yet is not made by asking."""
    found = address(url)
    return found.drivername != "sqlite" or Path(str(found.database)).exists()


def writable(url: str) -> bool:
    """Whether this user may write the database; one that cannot be written can still be read. A server decides itself."""
    found = address(url)
    return found.drivername != "sqlite" or file_writable(Path(str(found.database)))


def check_writable(url: URL) -> None:
    """Raises GenloopError where the database can only be read."""
    if url.get_backend_name() == "sqlite" and not file_writable(Path(str(url.database))):
        raise GenloopError(f"{url.database}: {explain('attempt to write a readonly database')}")


def file_writable(file: Path) -> bool:
    return files.writable(file) and files.writable(file.parent)  # SQLite keeps its log of writes beside the file


def connect(url: str) -> Engine:
    """The database with the newest tables, made where there is none. One that cannot be written is opened to be read.

    Raises InputError where its URL is unusable or a package is missing, else GenloopError: no answer, a newer Genloop's, or
    it cannot be written and would have to be, because it is not there or is an older Genloop's.
    """
    found = address(url)
    with database_errors(found):
        engine = sqlite(found) if found.drivername == "sqlite" else postgresql(found)
        migrate(engine)
    return engine


def schema(url: str, name: str) -> str | None:
    """The URL by which another tool has its tables in the schema `name` of our PostgreSQL; None where ours is a file.

    Raises InputError and GenloopError as `connect` does.
    """
    found = address(url)
    if found.drivername == "sqlite":
        return None
    with database_errors(found):
        engine = postgresql(found)
        with transactional(engine).begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})  # two at once would both make it
            connection.execute(CreateSchema(name, if_not_exists=True))
        engine.dispose()
    return found.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


def sqlite(url: URL) -> Engine:
    file = Path(str(url.database))
    if file_writable(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": WAIT})
    elif file.exists():
        engine = create_engine(url, creator=partial(open_to_read, file))
    else:
        raise GenloopError(f"{file}: there is no database, and none can be made, because its folder cannot be written")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        connection.execute("PRAGMA synchronous = FULL")  # what is committed outlives a power cut, too
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        connection.execute("PRAGMA trusted_schema = ON")  # lets a trigger call the next one
        connection.create_function("genloop_digest", 1, tables.digest, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails at once when another wrote in between; this one waits.
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def open_to_read(file: Path) -> sqlite3.Connection:
    """A connection to a file that cannot be written.

    In the mode that SQLite calls `ro` it makes files beside the database, where another process has not made them. So without
    that process, which is to say without a log of writes, it has to be told that nothing changes.
    """
    log = Path(f"{file}-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(file))}?{mode}", uri=True, timeout=WAIT, check_same_thread=False)


def postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": WAIT})
    except ModuleNotFoundError as error:
        raise InputError(
            f"{VARIABLE} names PostgreSQL, but the package {error.name} is missing: install Genloop with its extra, "
            "`pip install 'genloop[postgres]'`"
        ) from None

    @event.listens_for(engine, "checkin")
    def note_idle(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping_idle(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        # A server that was restarted meanwhile has hung up. Asking it every time would cost a third of the writes.
        if time.monotonic() - record.info.get("since", math.inf) > IDLE:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error:
                raise DisconnectionError from None  # the pool connects anew

    return engine


def transactional(engine: Engine) -> Engine:
    """The same connections, for several statements that all happen or none: on PostgreSQL the default is one each."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="READ COMMITTED")


def migrate(engine: Engine) -> None:
    """Bring the tables to their newest form; several processes may come first at the same time."""
    with engine.connect().execution_options(reading=True) as connection:
        if revision(connection, engine) == tables.REVISION:
            return
    if engine.dialect.name == "sqlite" and not file_writable(Path(str(engine.url.database))):
        raise GenloopError(
            f"{display_name(engine.url)}: its tables are of an older Genloop, and bringing them up to date needs permission to "
            "write; run `genloop status` once as its owner"
        )
    with migration_lock(engine) as connection:
        if revision(connection, engine) == tables.REVISION:
            return
        upgrade(connection)


def revision(connection: Connection, engine: Engine) -> str | None:
    """The last migration that this database has seen."""
    if not inspect(connection).has_table(tables.VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {tables.VERSION_TABLE}")).scalar()
    if found is not None and found > tables.REVISION:
        raise GenloopError(
            f"{display_name(engine.url)}: its tables are of a newer Genloop (revision {found}, "
            f"this one knows {tables.REVISION}); update this Genloop"
        )
    return found


@contextmanager
def migration_lock(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other process's migration overlaps: all of it, or nothing."""
    if engine.dialect.name == "sqlite":
        with FileLock(f"{engine.url.database}.lock"):
            with engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[union-attr]
            with engine.begin() as connection:
                yield connection
    else:
        with transactional(engine).begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            yield connection


def upgrade(connection: Connection) -> None:
    import logging

    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    command.upgrade(config, "head")


def display_name(url: URL) -> str:
    """The database for people: its file, or its URL without the password."""
    return str(url.database) if url.drivername == "sqlite" else url.render_as_string(hide_password=True)


@contextmanager
def database_errors(url: URL, file: Path | None = None) -> Iterator[None]:
    """Errors of the database as a GenloopError in words. file: where it is, if it is another file than that of `url`."""
    try:
        yield
    except DBAPIError as error:
        lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        where = str(file) if file and url.drivername == "sqlite" else display_name(url)
        raise GenloopError(f"{where}: {explain(lines[0][:300])}") from None


def explain(words: str) -> str:
    if "locked" in words:
        return f"{words}: another process has been writing for {WAIT} seconds; run again when it has ended"
    if "not a database" in words or "malformed" in words:
        return f"{words}; restore it from a backup, or move it away"
    if "readonly database" in words:
        return f"{words}: it can only be read here; run as its owner, or where the project is mounted writable"
    if "disk is full" in words or "No space left" in words:
        return f"{words}; make room and run again"
    return f"the database does not answer as it should: {words}; see {VARIABLE}"
