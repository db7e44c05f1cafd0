"""What the database of events is like, found out without making or changing it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from pipelines.core.errors import GenloopError
from pipelines.feedback.store import database, tables

MOST_BYTES = 2**28  # a larger file is not read whole


def describe(url: str) -> str:
    """The database in a sentence. Raises GenloopError where it cannot be used: unusable URL, no answer, damaged, or newer."""
    address = database.address(url)
    name = database.display_name(address)
    if not database.reachable(url):
        return f"none yet at {name}; the first event makes it"
    with database.database_errors(address):
        engine = database.sqlite(address) if address.drivername == "sqlite" else database.postgresql(address)
        try:
            return f"{name}, {state(engine)}"
        finally:
            engine.dispose()


def state(engine: Engine) -> str:
    with engine.connect().execution_options(reading=True) as connection:
        revision = database.revision(connection, engine)
        if engine.dialect.name == "sqlite" and Path(str(engine.url.database)).stat().st_size <= MOST_BYTES:
            damage = connection.execute(text("PRAGMA quick_check(1)")).scalar()
            if damage != "ok":
                raise GenloopError(f"{engine.url.database} is damaged ({damage}); restore it from a backup, or move it away")
    if revision is None:
        return "empty; the first event makes its tables"
    if revision != tables.REVISION:
        return f"tables of revision {revision}; the next command that writes brings them to {tables.REVISION}"
    return f"tables of revision {revision}, the newest"
