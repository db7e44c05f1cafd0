"""Erasing a rater's events from tables that are append-only, and their bytes from the database's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, select, text, true

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Upload, load, samples_of
from pipelines.feedback.store import database
from pipelines.feedback.store.tables import events, favourites, samples


def images_of_one(connection: Connection, rater: str) -> set[str]:
    """sha256 of the uploads that this rater alone has sent."""
    own = upload_images(connection, events.c.rater == rater)
    return own - upload_images(connection, events.c.rater != rater) if own else own


def upload_images(connection: Connection, where: ColumnElement[bool] = true()) -> set[str]:  # noqa: B008
    """sha256 of the uploads among the events that fit `where`."""
    uploads = select(events.c.body).where(events.c.type == "upload", where)
    return {event.image for event in map(load, connection.execute(uploads).scalars()) if isinstance(event, Upload)}


def remove_prompts(connection: Connection) -> None:
    """Remove the shown samples with prompts that no event and no favourite names: who is forgotten may have written them."""
    named = set(connection.execute(select(favourites.c.prompt).distinct()).scalars())
    bodies = connection.execute(select(events.c.body).where(events.c.body.contains('"prompt":'))).scalars()
    named |= {sample.prompt for event in map(load, bodies) for sample in samples_of(event)}
    shown = connection.execute(select(samples.c.prompt).where(samples.c.prompt != "").distinct()).scalars().all()
    for prompt in sorted(set(shown) - named):
        connection.execute(delete(samples).where(samples.c.prompt == prompt))


@contextmanager
def unlock(connection: Connection, rater: str, alone: bool = True) -> Iterator[None]:
    """Allow this transaction to delete the events of `rater`, as long as the context lasts.

    alone: nothing is added meanwhile, for which a server waits until others have ended.
    """
    if connection.dialect.name == "sqlite":
        # Without the trigger that forbids to delete; no other transaction sees the table like that, or adds to it meanwhile.
        trigger = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'events_delete'")).scalar_one()
        connection.exec_driver_sql("DROP TRIGGER events_delete")
        yield
        connection.exec_driver_sql(trigger)
    else:
        # Transactions that are adding are waited for; later ones wait, and then find that the rater was forgotten.
        if alone:
            connection.execute(text("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"))
        connection.execute(text("SELECT set_config('genloop.erasing', :rater, true)"), {"rater": rater})
        yield


def vacuum(engine: Engine) -> None:
    """Write the files anew, without what earlier moves within pages left behind; SQLite's log beside its file is emptied."""
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (FULL, ANALYZE) events, favourites, samples"))
        return
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM")
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise GenloopError(
            f"{engine.url.database}: the events are gone, but not yet their bytes in the log, which another process has been "
            f"reading for {database.WAIT} seconds; forget again when it has ended"
        )
