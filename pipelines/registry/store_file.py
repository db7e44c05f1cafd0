"""What a local store of MLflow says of a model, read from its file: a run with nothing to do asks little, and MLflow takes
seconds to import.

Nothing is written. Where the tables are not those that are known here, as after an upgrade, MLflow itself has to be asked.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pipelines.registry import places
from pipelines.registry.versions import Version

T = TypeVar("T")

OF_MODEL = "workspace = 'default' AND name = ?"
LIVING = f"{OF_MODEL} AND current_stage != 'Deleted_Internal'"


class UnknownStoreError(Exception):
    """MLflow has to be asked."""


def ask(store: Path, question: Callable[[sqlite3.Connection], T]) -> T:
    """Raises UnknownStoreError where the file cannot be read so."""
    try:
        with closing(places.connect(store)) as database:
            return question(database)
    except sqlite3.Error as error:
        raise UnknownStoreError from error


def is_claimed(database: sqlite3.Connection, store: Path) -> bool:
    """Whether the store is where it has been, and not copied or moved; see `places`."""
    return not places.changes(database, store)


def aliases(database: sqlite3.Connection, model: str) -> dict[str, int]:
    return dict(database.execute(f"SELECT alias, version FROM registered_model_aliases WHERE {OF_MODEL}", [model]))


def find(database: sqlite3.Connection, model: str, key: str, value: str) -> int | None:
    """A version with this tag."""
    tagged = f"SELECT version FROM model_version_tags WHERE {OF_MODEL} AND key = ? AND value = ?"
    found = database.execute(
        f"SELECT version FROM model_versions WHERE {LIVING} AND version IN ({tagged})", [model, model, key, value]
    )
    return next((number for (number,) in found), None)


def numbers(database: sqlite3.Connection, model: str) -> list[int]:
    found = database.execute(f"SELECT version FROM model_versions WHERE {LIVING} ORDER BY version", [model])
    return [number for (number,) in found]


def version(database: sqlite3.Connection, model: str, number: int) -> Version | None:
    columns = "SELECT run_id, creation_time FROM model_versions"
    found = database.execute(f"{columns} WHERE {LIVING} AND version = ?", [model, number]).fetchone()
    if found is None:
        return None
    run, created = found
    at = datetime.fromtimestamp(created / 1000, UTC)
    return Version(number, run, at, tags(database, model, number), metrics(database, run), settings(database, run))


def tags(database: sqlite3.Connection, model: str, number: int) -> dict[str, str]:
    return dict(
        database.execute(f"SELECT key, value FROM model_version_tags WHERE {OF_MODEL} AND version = ?", [model, number])
    )


def metrics(database: sqlite3.Connection, run: str | None) -> dict[str, float]:
    found = database.execute("SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?", [run])
    return {key: math.nan if is_nan else value for key, value, is_nan in found}


def settings(database: sqlite3.Connection, run: str | None) -> dict[str, str]:
    return dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", [run]))
