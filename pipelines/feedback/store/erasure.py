"""How a rater's events get out of tables that are append-only, and their bytes out of the database's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, select, text, true

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Upload, load
from pipelines.feedback.store import database
from pipelines.feedback.store.tables import events


def last_images(connection: Connection, rater: str) -> set[str]:
    """sha256 of the uploads that this rater alone has sent."""
    own = images_of(connection, events.c.rater == rater)
    return own - images_of(connection, events.c.rater != rater) if own else own


def images_of(connection: Connection, those: ColumnElement[bool] = true()) -> set[str]:  # noqa: B008
    """sha256 of the uploads of those events."""
    uploads = select(events.c.body).where(events.c.type == "upload", those)
    return {event.image for event in map(load, connection.execute(uploads).scalars()) if isinstance(event, Upload)}


def unlocked(connection: Connection, rater: str) -> Any:
    """While this lasts, and to this transaction alone, the events of `rater` can be deleted; and nothing is added meanwhile."""
    return unlocked_on_sqlite(connection) if connection.dialect.name == "sqlite" else unlocked_on_postgresql(connection, rater)


@contextmanager
def unlocked_on_sqlite(connection: Connection) -> Iterator[None]:
    """Without the trigger that forbids to delete; nobody else sees the table like that, or adds to it meanwhile."""
    trigger = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'events_delete'")).scalar_one()
    connection.exec_driver_sql("DROP TRIGGER events_delete")
    yield
    connection.exec_driver_sql(trigger)


@contextmanager
def unlocked_on_postgresql(connection: Connection, rater: str) -> Iterator[None]:
    """Who is adding is waited for, and who comes to add waits, and then finds that the rater was forgotten."""
    connection.execute(text("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(text("SELECT set_config('genloop.erasing', :rater, true)"), {"rater": rater})
    yield


def vacuum(engine: Engine) -> None:
    vacuum_sqlite(engine) if engine.dialect.name == "sqlite" else vacuum_postgresql(engine)


def vacuum_sqlite(engine: Engine) -> None:
    """The file written anew, without what earlier moves within pages left behind; then nothing in the log beside it."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM")
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise GenloopError(
            f"{engine.url.database}: the events are gone, but not yet their bytes in the log, which another process has been "
            f"reading for {database.WAIT} seconds; forget again when it has ended"
        )


def vacuum_postgresql(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (FULL, ANALYZE) events"))
