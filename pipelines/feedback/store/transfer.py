"""The whole database of events as a file, and back: of SQLite its online backup, of PostgreSQL every row in one transaction.

The file is SQLite's in both cases, so that what was saved from the one can be restored into the other.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, inspect, select

from pipelines.core import sqlite_copy
from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.store import database
from pipelines.feedback.store.tables import REVISION, metadata, tombstones

AT_ONCE = 1000  # rows
Advance = Callable[[int], None]


@dataclass(frozen=True)
class TableDigest:
    """sha256: of all rows, in whatever order the database gives them."""

    rows: int
    sha256: str


def is_server(url: str) -> bool:
    return database.address(url).drivername != "sqlite"


def file_of(url: str) -> Path | None:
    """The file of the database; None on a server."""
    found = database.address(url)
    return Path(str(found.database)) if found.drivername == "sqlite" else None


def save(url: str, file: Path, advance: Advance = lambda size: None) -> None:
    """Write the database as it is at one instant into the new `file`. advance: gets the bytes of rows, or of pages.

    Raises GenloopError where it does not answer, or is damaged.
    """
    address, source = database.address(url), file_of(url)
    if source is not None:
        try:
            sqlite_copy.copy(source, file, advance)
        except sqlite3.Error as error:
            raise GenloopError(f"{source}: {database.explain(str(error))}") from None
        return
    engine, copy = database.connect(url), database.connect(f"sqlite:///{file}")
    with database.database_errors(address), instant(engine) as rows, database.transactional(copy).begin() as target:
        transfer(rows, target, advance)
    for one in (engine, copy):
        one.dispose()
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)  # of the migrations that have made the file's tables


def load(file: Path, url: str, advance: Advance = lambda size: None) -> None:
    """Fill the empty database of `url` with the rows of `file`: all of them, or none. One that has the very same stays.

    Raises:
        InputError: it has other rows.
        GenloopError: it does not answer, or does not give back what was put in; nothing is stored then.
    """
    address = database.address(url)
    source, engine = database.connect(f"sqlite:///{file}"), database.connect(url)
    try:
        with database.database_errors(address), instant(source) as rows, database.transactional(engine).begin() as target:
            expected = digests(rows)
            if occupied(target):
                if digests(target) != expected:
                    raise occupied_error(url)
                return
            transfer(rows, target, advance)
            if digests(target) != expected:
                raise GenloopError(f"{database.display_name(address)}: does not give back what was put in; nothing is stored")
    finally:
        for one in (source, engine):
            one.dispose()


def check_empty(url: str, expected: dict[str, TableDigest]) -> None:
    """Raises InputError where the database has rows, and others than these; it is not made, and gets no tables."""
    if not database.reachable(url):
        return
    address = database.address(url)
    with database.database_errors(address):
        engine = database.sqlite(address) if address.drivername == "sqlite" else database.postgresql(address)
        try:
            with instant(engine) as connection:
                if not occupied(connection):
                    return
                if database.revision(connection, engine) != REVISION or digests(connection) != expected:
                    raise occupied_error(url)
        finally:
            engine.dispose()


def occupied_error(url: str) -> InputError:
    name = database.display_name(database.address(url))
    return InputError(
        f"{name} has events or a history already, which a restore does not touch; expected an empty database in "
        f"{database.VARIABLE}, or no such variable, for a file in the restored project"
    )


def occupied(connection: Connection) -> bool:
    """Whether any of our tables has a row."""
    present = set(inspect(connection).get_table_names())
    return any(
        connection.execute(select(next(iter(table.columns))).limit(1)).first() is not None
        for table in metadata.sorted_tables
        if table.name in present
    )


def other_schemas(url: str) -> list[str]:
    """Schemas beside ours in the database of a server, as that of the studies; none in a file."""
    if not is_server(url):
        return []
    engine = database.connect(url)
    try:
        with database.database_errors(engine.url), engine.connect() as connection:
            names, own = inspect(connection).get_schema_names(), inspect(connection).default_schema_name
        return sorted(name for name in names if name not in (own, "public", "information_schema") and name[:3] != "pg_")
    finally:
        engine.dispose()


def digests_of(url: str) -> dict[str, TableDigest]:
    """The digest of every table. The tables are brought to their newest form."""
    engine = database.connect(url)
    try:
        with database.database_errors(engine.url), instant(engine) as connection:
            return digests(connection)
    finally:
        engine.dispose()


def digests(connection: Connection) -> dict[str, TableDigest]:
    """Equal in both kinds of database where the rows are equal."""
    found = {}
    for table in metadata.sorted_tables:
        count, total = 0, 0
        for row in rows_of(connection, table):
            text = json.dumps(list(row), ensure_ascii=True, separators=(",", ":"))
            count, total = count + 1, total + int.from_bytes(hashlib.sha256(text.encode()).digest())
        found[table.name] = TableDigest(count, f"{total % 2**256:064x}")
    return found


def instant(engine: Engine) -> AbstractContextManager[Connection]:
    """A connection whose queries all see the database as it was at the first."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reading=True).begin()
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True).begin()


def transfer(source: Connection, target: Connection, advance: Advance) -> None:
    """Copy every row. Raters who were forgotten come last, because triggers look them up at each event."""
    for table in sorted(metadata.sorted_tables, key=lambda table: table is tombstones):
        chunk: list[dict[str, Any]] = []
        for row in rows_of(source, table):
            chunk.append(row._asdict())
            if len(chunk) == AT_ONCE:
                insert(target, table, chunk, advance)
        insert(target, table, chunk, advance)


def insert(target: Connection, table: Table, chunk: list[dict[str, Any]], advance: Advance) -> None:
    if chunk:
        target.execute(table.insert(), chunk)
        advance(sum(len(str(value)) for row in chunk for value in row.values()))
        chunk.clear()


def rows_of(connection: Connection, table: Table) -> Iterator[Any]:
    """The rows as they come from the server, never all of them in memory."""
    return iter(connection.execute(select(table).execution_options(yield_per=AT_ONCE)))
