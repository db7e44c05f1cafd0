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
from pipelines.core.project import Project
from pipelines.feedback.events import Event, parse
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore
from tests.conftest import REPOSITORY
from tests.feedback import folding
from tests.support import sealed_events


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


def url(project: Project) -> str:
    return f"sqlite:///{project.root / 'feedback.db'}"


@pytest.fixture
def store(project: Project) -> EventStore:
    return EventStore.open(url(project))


def sealed(folder: Path) -> Counter[str]:
    return Counter(event.id for event in sealed_events.read(folder))


def exactly(folder: Path, count: int) -> bool:
    return sealed(folder) == Counter(f"e{number}" for number in range(count))


def test_what_is_new_is_sealed_once_and_stays_as_it_was(store: EventStore, project: Project) -> None:
    store.add(votes(0, 10))
    done = seal.fold(store, project.feedback)
    assert (done.events, len(done.batches), done.corrections) == (10, 1, 0)
    (path,) = seal.sealed_files(project.feedback)
    content = path.read_bytes()
    assert seal.fold(store, project.feedback).batches == []
    store.add(votes(5, 10))  # five of them again
    assert seal.fold(store, project.feedback).events == 5
    assert path.read_bytes() == content
    assert exactly(project.feedback, 15)
    assert sorted(sealed_events.read(project.feedback), key=lambda event: int(event.id[1:])) == votes(0, 15)


def test_each_file_keeps_the_names_that_the_classes_had_when_it_was_sealed(store: EventStore, project: Project) -> None:
    store.add(votes(0, 3))
    (first,) = seal.fold(store, project.feedback, classes=["ant", "bee", "größe"]).batches
    content = seal.events_file(project.feedback, first).read_bytes()
    store.add(votes(3, 3))
    (second,) = seal.fold(store, project.feedback, classes=[]).batches
    store.add(votes(6, 3))
    (third,) = seal.fold(store, project.feedback).batches
    names = [seal.class_names(project.feedback, batch) for batch in (first, second, third)]
    assert names == [["ant", "bee", "größe"], [], None]
    assert seal.events_file(project.feedback, first).read_bytes() == content


def test_a_limit_leaves_the_rest_for_the_next_fold(store: EventStore, project: Project) -> None:
    store.add(votes(0, 10))
    assert [seal.fold(store, project.feedback, limit=4).events for _ in range(4)] == [4, 4, 2, 0]
    assert exactly(project.feedback, 10)


def test_clocks_and_order_do_not_matter(store: EventStore, project: Project) -> None:
    store.add(votes(5, 5, hour=23))
    seal.fold(store, project.feedback)
    store.add(votes(0, 5, hour=1))  # said long before, and with lower ids
    assert seal.fold(store, project.feedback).events == 5
    assert exactly(project.feedback, 10)


def test_a_kill_at_any_step_loses_and_doubles_nothing(store: EventStore, project: Project) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, folding.__file__, url(project), str(project.feedback)]
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
                seal.fold(store, project.feedback)
                assert exactly(project.feedback, 10 * killed), step
        folds.stdin.close()
    assert killed >= 15
    seal.fold(store, project.feedback)
    assert exactly(project.feedback, 10 * (killed + 1))
    assert not [
        path for path in project.feedback.iterdir() if path.suffix == ".parquet" and not path.name.startswith(seal.PREFIX)
    ]


def test_two_folds_at_once_share_the_events(store: EventStore, project: Project) -> None:
    store.add(votes(0, 300))

    def one(_: int) -> int:
        with EventStore.open(url(project)) as own:
            return seal.fold(own, project.feedback, limit=50).events

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 300
    assert exactly(project.feedback, 300)


@pytest.mark.parametrize("again", [False, True], ids=["as it was", "and sent again"])
def test_a_database_restored_from_an_older_copy_doubles_nothing(store: EventStore, project: Project, again: bool) -> None:
    store.add(votes(0, 10))
    with contextlib.closing(sqlite3.connect(project.root / "feedback.db")) as connection:
        connection.execute(f"VACUUM INTO '{project.root / 'copy.db'}'")  # before anything was folded
    store.add(votes(10, 10))
    seal.fold(store, project.feedback)
    store.close()
    for path in project.root.glob("feedback.db*"):
        path.unlink()
    shutil.copy(project.root / "copy.db", project.root / "feedback.db")
    with EventStore.open(url(project)) as restored:
        if again:
            restored.add(votes(5, 20))
        done = seal.fold(restored, project.feedback)
        assert done.corrections == (20 if again else 10)
        assert done.events == (5 if again else 0)
        assert exactly(project.feedback, 25 if again else 20)
        assert restored.counts().new == 0


def test_a_damaged_sealed_file_stops_the_fold(store: EventStore, project: Project) -> None:
    store.add(votes(0, 10))
    seal.fold(store, project.feedback)
    (path,) = seal.sealed_files(project.feedback)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    store.add(votes(10, 10))
    with pytest.raises(GenloopError, match="a sealed file that cannot be read"):
        seal.fold(store, project.feedback)
    path.write_bytes(content)
    path.rename(project.feedback / "events-other.parquet")
    with pytest.raises(GenloopError, match="says that it is of batch"):
        seal.fold(store, project.feedback)
