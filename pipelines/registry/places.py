"""Where a local store of MLflow keeps artifacts: in `mlruns` beside its file, whatever folder that is by now.

MLflow notes absolute paths. After a project was copied or moved they name another folder, which a copy must not write into and
which after a move is gone. So whoever opens a store claims it first: places of files that came along are rewritten.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.core.files import same

ARTIFACTS = "mlruns"
EXPERIMENTS = ("experiments", "artifact_location")  # where the artifacts of new runs go
COLUMNS = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))  # where those of each run and model are
VERSIONS = (("model_versions", "storage_location"), ("model_versions", "source"))
PREVIOUS = "genloop.previous_folder"  # tag of an experiment: the folder that its artifacts were in before


@dataclass(frozen=True)
class ArtifactPlace:
    """An artifact place in a row of a table. folder: that holds its `mlruns`. path: in there."""

    table: str
    column: str
    row: int
    location: str
    folder: Path
    path: Path

    @property
    def old(self) -> Path:
        return self.folder / ARTIFACTS / self.path

    def new(self, folder: Path) -> Path:
        return folder / ARTIFACTS / self.path

    def relocated(self, folder: Path) -> str:
        """The same place in another folder, as a URI where it was one."""
        return self.new(folder).as_uri() if self.location.startswith("file:") else str(self.new(folder))


@dataclass(frozen=True)
class StoreOrigin:
    """previous: the folder that a store was in before it was copied or moved; None where it has always been here.

    copied: whether that folder still has a store. missing, left_behind: versions, as in `genloop-digits 3`, whose files are
    nowhere, or in that folder alone.
    """

    previous: Path | None
    copied: bool
    missing: list[str]
    left_behind: list[str]


def is_foreign(store: Path) -> bool:
    """Whether `claim` would rewrite something. Raises sqlite3.Error where the store cannot be read."""
    with closing(connect(store)) as database:
        return bool(changes(database, store))


def claim_in_copy(store: Path, copied: Path) -> None:
    """Make a copy of a store with the places rewritten, for one that cannot be written itself."""
    with closing(connect(store)) as database, closing(connect(copied)) as copy:
        database.backup(copy)
        rewrite(copy, store)


def claim(store: Path) -> Path | None:
    """Rewrite the places of a store that was copied or moved, all in one transaction.

    Places of new runs are rewritten where they are the previous folder's; those of runs, models and versions where their files
    have come along. What was put elsewhere on purpose stays. So does what is the same folder by another path, such as a link.

    Returns:
        The folder that the store was in before; None where nothing was to be rewritten.

    Raises:
        sqlite3.Error: the store cannot be read, or not be written and something is to be rewritten.
    """
    with closing(connect(store)) as database:
        if not changes(database, store):
            return None
        found = rewrite(database, store)
    return found[-1].folder if found else None


def rewrite(database: sqlite3.Connection, store: Path) -> list[ArtifactPlace]:
    """Rewrite the places of the store `store`, which `database` is, or is a copy of. Returns those that there were."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        found = changes(database, store)  # another process may have been first
        for place in found:
            update = f"UPDATE {place.table} SET {place.column} = ? WHERE rowid = ?"
            database.execute(update, (place.relocated(store.parent), place.row))
            if place.table == EXPERIMENTS[0]:
                tag = "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)"
                database.execute(tag, (PREVIOUS, str(place.folder), place.row))
    return found


def place_default(store: Path) -> None:
    """Have the experiment that MLflow makes with a store keep its artifacts there too, not in the working directory."""
    with closing(connect(store)) as database:
        database.execute(
            f"UPDATE {EXPERIMENTS[0]} SET {EXPERIMENTS[1]} = ? WHERE experiment_id = 0",
            [(store.parent / ARTIFACTS / "0").as_uri()],
        )


def origin(store: Path) -> StoreOrigin:
    """What is known of where a store has been. It should have been claimed."""
    with closing(connect(store)) as database:
        tags = database.execute("SELECT value FROM experiment_tags WHERE key = ? ORDER BY experiment_id", [PREVIOUS]).fetchall()
        rows = database.execute("SELECT name, version, storage_location FROM model_versions ORDER BY name, version").fetchall()
    previous = Path(tags[-1][0]) if tags else None
    folders = {f"{name} {version}": path for name, version, location in rows if (path := local_path(location or ""))}
    missing = [name for name, path in folders.items() if not path.exists()]
    left_behind = [name for name, path in folders.items() if path.exists() and previous and path.is_relative_to(previous)]
    return StoreOrigin(previous, previous is not None and (previous / store.name).exists(), missing, left_behind)


def outside(store: Path) -> list[str]:
    """Where the files of models and versions are, as far as that is not `mlruns` beside the store."""
    with closing(connect(store)) as database:
        rows = {
            row[0] for table, column in (COLUMNS[1], VERSIONS[0]) for row in database.execute(f"SELECT {column} FROM {table}")
        }
    home = (store.parent / ARTIFACTS).resolve()
    paths = {location: local_path(location) for location in rows if location}
    return sorted(location for location, path in paths.items() if path is None or not path.resolve().is_relative_to(home))


def connect(store: Path) -> sqlite3.Connection:
    return sqlite3.connect(store, timeout=60, isolation_level=None)


def changes(database: sqlite3.Connection, store: Path) -> list[ArtifactPlace]:
    """The places that are to be rewritten."""
    here = store.parent
    foreign = [place for place in places(database) if not same(place.folder, here)]
    foreign = [place for place in foreign if not same(place.folder / store.name, store)]  # a link to one store is no copy of it
    new_runs = [place for place in foreign if place.table == EXPERIMENTS[0]]
    present = [place for place in foreign if place.table != EXPERIMENTS[0] and place.new(here).exists()]
    came_along = [place for place in present if not same(place.new(here), place.old)]
    folders = {place.folder for place in came_along}
    return came_along + [place for place in new_runs if place.folder in folders or was_ours(place.folder, store)]


def was_ours(folder: Path, store: Path) -> bool:
    """Whether a store was in this folder before: it is gone, or has the store that this one is a copy of."""
    return not os.path.lexists(folder) or (folder / store.name).exists()


def places(database: sqlite3.Connection) -> Iterator[ArtifactPlace]:
    """All places in the store that are local folders in an `mlruns`."""
    for table, column in (EXPERIMENTS, *COLUMNS, *VERSIONS):
        for row, location in database.execute(f"SELECT rowid, {column} FROM {table}"):
            path = local_path(location or "")
            if path and ARTIFACTS in path.parts:
                at = len(path.parts) - 1 - path.parts[::-1].index(ARTIFACTS)
                yield ArtifactPlace(table, column, row, location, Path(*path.parts[:at]), Path(*path.parts[at + 1 :]))


def local_path(location: str) -> Path | None:
    """The path that an artifact place names; None for one that is no absolute path on this machine."""
    if location.startswith("file:"):
        return Path(unquote(urlsplit(location).path))
    return Path(location) if location.startswith("/") else None
