"""A copy of an SQLite database that others may go on writing: SQLite's own online backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PAGES = 4096  # at once, between two reports of progress
WAIT = 60  # seconds for another process that is writing


def copy(source: Path, target: Path, advance: Callable[[int], None] = lambda size: None) -> None:
    """Write the database as it is now into the new file `target`. advance: gets bytes as they are copied.

    Raises sqlite3.Error where `source` is no database, or is damaged.
    """
    with closing(open_to_read(source)) as database, closing(sqlite3.connect(target, isolation_level=None)) as copied:
        # One transaction for all steps: without it a write in between would begin the copy anew, perhaps for ever.
        database.execute("BEGIN")
        (size,), _ = database.execute("PRAGMA page_size").fetchone(), database.execute("SELECT 1 FROM sqlite_master").fetchone()
        left: list[int] = []

        def report(status: int, remaining: int, total: int) -> None:
            advance(size * ((left[-1] if left else total) - remaining))
            left.append(remaining)

        database.backup(copied, pages=PAGES, progress=report, sleep=0)
        database.execute("ROLLBACK")
        if (damage := copied.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {damage}")


def size(file: Path) -> int:
    """Bytes of the database with its log of writes; 0 where there is none."""
    return sum(path.stat().st_size for path in (file, Path(f"{file}-wal")) if path.exists())


def open_to_read(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=WAIT, isolation_level=None)
