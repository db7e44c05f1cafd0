"""A copy of a database that others go on writing: of one instant, whole, and one file."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.core import sqlite_copy


def make(file: Path, mode: str, rows: int) -> sqlite3.Connection:
    database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=30)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("CREATE TABLE pairs (number INTEGER PRIMARY KEY, text TEXT)")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("BEGIN")
    database.executemany("INSERT INTO pairs VALUES (?, ?)", ((number, "x" * 900) for number in range(rows)))
    database.execute("COMMIT")
    return database


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_copy_is_of_one_instant_while_another_writes(tmp_path: Path, mode: str) -> None:
    writer, stop, written = make(tmp_path / "a.db", mode, 3000), threading.Event(), list[int]()

    def write() -> None:
        number = 3000
        while not stop.is_set():
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany("INSERT INTO pairs VALUES (?, 'y')", [(number,), (number + 1,)])  # both or none
            writer.execute("COMMIT")
            time.sleep(0.001)  # else nobody else gets a turn where readers lock
            number += 2
            written.append(number)

    thread, advanced = threading.Thread(target=write), list[int]()
    thread.start()
    while len(written) < 5:
        time.sleep(0.001)
    before = written[-1]
    sqlite_copy.copy(tmp_path / "a.db", tmp_path / "b.db", advanced.append)
    stop.set()
    thread.join()
    assert [path.name for path in tmp_path.glob("b.db*")] == ["b.db"]
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        numbers = [row[0] for row in copy.execute("SELECT number FROM pairs ORDER BY number")]
        assert copy.execute("PRAGMA journal_mode").fetchone()[0] == mode.lower()  # as its readers and writers are used to
    assert numbers == list(range(len(numbers)))
    assert len(numbers) % 2 == 0
    assert before <= len(numbers) <= written[-1]
    assert sum(advanced) == (tmp_path / "b.db").stat().st_size
    writer.close()


def test_what_is_in_the_log_of_writes_alone_is_copied(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db", "WAL", 10)):
        assert (tmp_path / "a.db-wal").stat().st_size > 0
        assert sqlite_copy.size(tmp_path / "a.db") > (tmp_path / "a.db").stat().st_size
        sqlite_copy.copy(tmp_path / "a.db", tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT count(*) FROM pairs").fetchone() == (10,)


def test_the_same_database_gives_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a.db", "WAL", 100).close()
    for name in ("b.db", "c.db"):
        sqlite_copy.copy(tmp_path / "a.db", tmp_path / name)
    assert (tmp_path / "b.db").read_bytes() == (tmp_path / "c.db").read_bytes()


def test_what_is_no_database_or_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("these are notes\n" * 100)
    make(tmp_path / "a.db", "DELETE", 3000).close()
    content = bytearray((tmp_path / "a.db").read_bytes())
    content[4096 * 20 : 4096 * 22] = b"\xff" * 8192
    (tmp_path / "a.db").write_bytes(content)
    for name in ("notes", "a.db", "missing.db"):
        with pytest.raises(sqlite3.Error):
            sqlite_copy.copy(tmp_path / name, tmp_path / f"{name}.copy")
    assert not (tmp_path / "missing.db").exists()
