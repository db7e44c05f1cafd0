"""A fold seals every event exactly once, whatever is killed, sent twice, late or restored."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event, parse
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import Store
from tests.conftest import REPOSITORY
from tests.feedback import folding

FOLDER = Path("data/feedback")


def votes(first: int, count: int, hour: int = 12) -> list[Event]:
    return [
        parse(
            {
                "id": f"e{number}",
                "type": "vote",
                "rater": f"r{number % 3}",
                "at": f"2026-01-31T{hour:02}:00:00Z",
                "sample": {"version": 1, "seed": number, "label": 0},
                "value": 1,
            }
        )
        for number in range(first, first + count)
    ]


def url(project: Path) -> str:
    return f"sqlite:///{project / 'feedback.db'}"


@pytest.fixture
def store(project: Path) -> Store:
    return Store.open(url(project))


def sealed() -> Counter[str]:
    return Counter(event.id for event in seal.read(FOLDER))


def exactly(count: int) -> bool:
    return sealed() == Counter(f"e{number}" for number in range(count))


def test_what_is_new_is_sealed_once_and_stays_as_it_was(store: Store) -> None:
    store.add(votes(0, 10))
    done = seal.fold(store, FOLDER)
    assert (done.sealed, len(done.batches), done.told) == (10, 1, 0)
    (path,) = seal.sealed(FOLDER)
    content = path.read_bytes()
    assert seal.fold(store, FOLDER).batches == []
    store.add(votes(5, 10))  # five of them again
    assert seal.fold(store, FOLDER).sealed == 5
    assert path.read_bytes() == content
    assert exactly(15)
    assert sorted(seal.read(FOLDER), key=lambda event: int(event.id[1:])) == votes(0, 15)


def test_a_limit_leaves_the_rest_for_the_next_fold(store: Store) -> None:
    store.add(votes(0, 10))
    assert [seal.fold(store, FOLDER, limit=4).sealed for _ in range(4)] == [4, 4, 2, 0]
    assert exactly(10)


def test_clocks_and_order_do_not_matter(store: Store) -> None:
    store.add(votes(5, 5, hour=23))
    seal.fold(store, FOLDER)
    store.add(votes(0, 5, hour=1))  # said long before, and with lower ids
    assert seal.fold(store, FOLDER).sealed == 5
    assert exactly(10)


def test_a_kill_at_any_step_loses_and_doubles_nothing(store: Store, project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, folding.__file__, url(project), str(FOLDER)]
    killed = 0
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as folds:
        assert folds.stdin is not None
        assert folds.stdout is not None
        for step in range(1, 200):
            store.add(votes(10 * killed, 10))
            print(step, file=folds.stdin, flush=True)
            ended = int(folds.stdout.readline())
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
            killed += 1
            if killed % 4 == 0:  # else the next one finds what several have left
                seal.fold(store, FOLDER)
                assert exactly(10 * killed), step
        folds.stdin.close()
    assert killed >= 15
    seal.fold(store, FOLDER)
    assert exactly(10 * (killed + 1))
    assert not [path for path in FOLDER.iterdir() if path.suffix == ".parquet" and not path.name.startswith(seal.PREFIX)]


def test_two_folds_at_once_share_the_events(store: Store, project: Path) -> None:
    store.add(votes(0, 300))

    def one(_: int) -> int:
        with Store.open(url(project)) as own:
            return seal.fold(own, FOLDER, limit=50).sealed

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 300
    assert exactly(300)


@pytest.mark.parametrize("again", [False, True], ids=["as it was", "and sent again"])
def test_a_database_restored_from_an_older_copy_doubles_nothing(store: Store, project: Path, again: bool) -> None:
    store.add(votes(0, 10))
    with contextlib.closing(sqlite3.connect(project / "feedback.db")) as connection:
        connection.execute(f"VACUUM INTO '{project / 'copy.db'}'")  # before anything was folded
    store.add(votes(10, 10))
    seal.fold(store, FOLDER)
    store.close()
    for path in project.glob("feedback.db*"):
        path.unlink()
    shutil.copy(project / "copy.db", project / "feedback.db")
    with Store.open(url(project)) as restored:
        if again:
            restored.add(votes(5, 20))
        done = seal.fold(restored, FOLDER)
        assert done.told == (20 if again else 10)
        assert done.sealed == (5 if again else 0)
        assert exactly(25 if again else 20)
        assert restored.counts().new == 0


def test_a_damaged_sealed_file_stops_the_fold(store: Store) -> None:
    store.add(votes(0, 10))
    seal.fold(store, FOLDER)
    (path,) = seal.sealed(FOLDER)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    store.add(votes(10, 10))
    with pytest.raises(GenloopError, match="a sealed file that cannot be read"):
        seal.fold(store, FOLDER)
    path.write_bytes(content)
    path.rename(FOLDER / "events-other.parquet")
    with pytest.raises(GenloopError, match="says that it is of batch"):
        seal.fold(store, FOLDER)
