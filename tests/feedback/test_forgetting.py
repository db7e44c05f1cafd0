"""Who is forgotten is gone from the database, the sealed files and the images, and does not come back."""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event as listening
from sqlalchemy import insert, text

from pipelines.core import png
from pipelines.core.errors import GenloopError
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.feedback import forgetting
from pipelines.feedback.events import Event, parse
from pipelines.feedback.forgetting import RaterRemoval, catch_up, digest, forget
from pipelines.feedback.sealed import event_images, manifest, seal, uploads
from pipelines.feedback.sealed.event_images import UnknownVersionError
from pipelines.feedback.store import erasure, tables
from pipelines.feedback.store import event_store as stores
from pipelines.feedback.store.event_store import AddResult, EventStore
from tests.feedback import disk
from tests.feedback.calls import imported, lines, rejects
from tests.feedback.writer import vote
from tests.support import sealed_events

LIMITS = Limits(max_bytes=10**6, max_side=100, max_pixels=10**4)
NAME = "trudy-99"


class Drawer:
    """Draws greys, another one for each seed."""

    classes = ("0",) * 10
    conditional, generation, identity = True, 0, None

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return np.broadcast_to(seeds[:, None, None, None].astype(np.uint8), (len(seeds), 4, 4, 1))


def drawer(version: int) -> Any:
    if version > 1:
        raise UnknownVersionError(f"version {version} is not in the registry")
    return Drawer()


def picture(number: int) -> bytes:
    return png.encode(np.random.default_rng(number).integers(0, 256, (8, 8, 1), np.uint8))


def upload(project: Project, name: str, rater: str, number: int) -> Event:
    kept = uploads.keep(project.uploads, picture(number), LIMITS)
    return parse({"id": name, "type": "upload", "rater": rater, "at": "2026-01-31T12:00:00Z", "image": kept})


def choice(name: str, rater: str, winner: int, loser: int) -> Event:
    samples = {key: {"version": 1, "seed": seed, "label": 5} for key, seed in (("winner", winner), ("loser", loser))}
    return parse({"id": name, "type": "choice", "rater": rater, "at": "2026-01-31T12:00:00Z", **samples})


def fold(project: Project, store: EventStore) -> list[str]:
    """As a fold does it, but for keeping: catch up, seal, pictures, manifest."""
    catch_up(project, store)
    done = seal.fold(store, project.feedback, classes=Drawer.classes)
    event_images.complete(project.feedback, project.uploads, drawer)
    manifest.update(project.feedback, project.manifest)
    return done.batches


def fill(project: Project, store: EventStore) -> list[str]:
    """Two folds in which two raters have spoken, a third in which only the one to be forgotten has, and what waits."""
    store.add([vote("m-1", NAME, 1), vote("k-1", "keeper", 1), vote("m-2", NAME, 2), choice("m-3", NAME, 3, 4)])
    store.add(
        [
            choice("k-2", "keeper", 3, 5),
            upload(project, "m-4", NAME, 0),
            upload(project, "m-5", NAME, 1),
            upload(project, "k-3", "keeper", 1),
        ]
    )
    batches = fold(project, store)
    store.add([vote("k-4", "keeper", 6)])
    fold(project, store)
    store.add([vote("m-6", NAME, 7), upload(project, "m-7", NAME, 2)])
    batches += fold(project, store)
    store.add(
        [vote("m-8", NAME, 8), upload(project, "m-9", NAME, 3), vote("k-5", "keeper", 8), upload(project, "k-6", "keeper", 4)]
    )
    return batches


GONE = (NAME.encode(), *(f'"m-{number}"'.encode() for number in range(1, 10)), *(picture(number) for number in (0, 2, 3)))
KEPT = {"k-1", "k-2", "k-3", "k-4"}


def everywhere(project: Project, store: EventStore) -> bytes:
    """The bytes of the database's files and of all that lies in data/, Parquet unpacked."""
    found = b"".join(path.read_bytes() for path in sorted(project.data.rglob("*")) if path.is_file())
    for path in manifest.files_in(project.feedback):
        found += repr(seal.open_file(path).read().to_pylist()).encode()
    for path in manifest.files_in(project.feedback):
        found += b"".join(one.image or b"" for one in event_images.read(project.feedback, [manifest.batch_of(path.name)]))
    return found + files_of(store)


def files_of(store: EventStore) -> bytes:
    if store.is_sqlite:
        database = Path(str(store.engine.url.database))
        return b"".join(path.read_bytes() for path in sorted(database.parent.glob(f"{database.name}*")))
    with store.engine.connect() as connection:
        connection.execute(text("CHECKPOINT"))
        place = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        own = connection.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar_one()
    return disk.of_postgres(place / "base" / str(own))


def nothing_left(project: Project, store: EventStore) -> bool:
    content = everywhere(project, store)
    assert b"keeper" in content
    assert picture(1) in content
    return not [word for word in GONE if word in content]


def whole(project: Project, store: EventStore) -> bool:
    """The manifest tells the files, the database agrees with them, nothing is left to be done."""
    manifest.check(project.feedback, project.manifest)
    counts = {batch: count for batch, count in map(seal.footer, seal.sealed_files(project.feedback)) if count}
    return counts == store.batches() and store.tombstones() == {digest(NAME): None}


def test_nothing_of_the_rater_is_left_and_all_of_the_others(store: EventStore, project: Project) -> None:
    batches = fill(project, store)
    before = manifest.read(project.manifest)
    assert not nothing_left(project, store)
    done = forget(project, store, [NAME])
    alone = sorted(hashlib.sha256(picture(number)).hexdigest() for number in (0, 2, 3))
    assert done == RaterRemoval(9, alone, sorted(batches))
    assert nothing_left(project, store)
    assert whole(project, store)
    after = manifest.read(project.manifest)
    assert list(after.files) == list(before.files)
    assert after.forgotten == [digest(NAME)]
    assert {event.id for event in sealed_events.read(project.feedback)} == KEPT
    assert all(seal.class_names(project.feedback, batch) == list(Drawer.classes) for batch in after.batches)
    seeds = [one.seed for one in event_images.read(project.feedback, after.batches) if one.sample]
    assert sorted(seeds) == [1, 3, 5, 6]
    assert (seal.fold(store, project.feedback).events, store.counts().new) == (2, 0)


def test_again_and_of_nobody_changes_nothing(store: EventStore, project: Project) -> None:
    fill(project, store)
    forget(project, store, [NAME])
    before = {path: path.stat().st_mtime_ns for path in project.data.rglob("*")}
    assert forget(project, store, [NAME]) == RaterRemoval(0, [], [])
    assert forget(project, store, []) == RaterRemoval(0, [], [])
    assert catch_up(project, store) == 0
    assert before == {path: path.stat().st_mtime_ns for path in project.data.rglob("*")}
    assert nothing_left(project, store)


def test_who_is_forgotten_does_not_come_back(store: EventStore, project: Project) -> None:
    store.add([vote("a", NAME), vote("b", "keeper")])
    assert store.erase_requests() == []
    forget(project, store, [NAME])
    again = [vote("a", NAME), vote("c", NAME), vote("b", "keeper"), vote("d", "keeper"), vote("c", NAME)]
    out, known, stored = AddResult.FORGOTTEN, AddResult.KNOWN, AddResult.STORED
    assert store.add(again) == [out, out, known, stored, out]
    assert store.add([vote("e", NAME)]) == [out]
    assert store.counts().new == 2
    assert not [word for word in GONE if word in files_of(store)]


def test_who_was_never_here_stays_away_too(store: EventStore, project: Project) -> None:
    assert forget(project, store, ["nobody"]) == RaterRemoval(0, [], [])
    assert store.add([vote("a", "nobody")]) == [AddResult.FORGOTTEN]
    assert manifest.read(project.manifest).forgotten == [digest("nobody")]


def test_who_asks_to_be_forgotten_is_known_by_it(store: EventStore, project: Project) -> None:
    asked = parse({"id": "z", "type": "erase", "rater": NAME, "at": "2026-02-01T12:00:00Z"})
    store.add([vote("a", NAME), asked, vote("b", "keeper")])
    fold(project, store)
    assert store.erase_requests() == [NAME]
    assert forget(project, store, store.erase_requests()).events == 2
    assert store.erase_requests() == []
    assert nothing_left_of(project, NAME, store)


def nothing_left_of(project: Project, name: str, store: EventStore) -> bool:
    return name.encode() not in files_of(store) + repr(list(sealed_events.read(project.feedback))).encode()


def test_both_databases_make_the_digest_that_python_makes(store: EventStore, project: Project) -> None:
    store.erase("label-studio:ü@+/")
    assert store.add([vote("a", "label-studio:u"), vote("b", "ann")]) == [AddResult.STORED] * 2
    with store.writer.begin() as connection:
        strange = {"id": "c", "type": "vote", "rater": "label-studio:ü@+/", "at": "x", "body": "x", "received_at": "x"}
        assert connection.execute(insert(tables.events).returning(tables.events.c.id), [strange]).all() == []


def test_a_rater_who_is_adding_at_that_moment_does_not_come_back(store: EventStore, url: str) -> None:
    """Whoever is first, the other waits: nothing that was being added when the rater was forgotten is there after it."""
    outcomes: list[AddResult] = []

    def add(name: int) -> None:
        with EventStore.open(url) as own:
            for number in range(3000):
                said = [vote(f"v{name}-{number}", NAME, number), vote(f"w{name}-{number}", NAME, number)]
                found = own.add(said[: 1 + number % 2])
                outcomes.extend(found)
                if AddResult.FORGOTTEN in found:
                    break

    threads = [threading.Thread(target=add, args=[name]) for name in range(3)]
    for thread in threads:
        thread.start()
    while len(outcomes) < 30:
        threads[0].join(0.001)
    store.erase(NAME)
    for thread in threads:
        thread.join()
    assert set(outcomes) == {AddResult.STORED, AddResult.FORGOTTEN}
    assert outcomes.count(AddResult.FORGOTTEN) >= 3
    assert store.counts().new == 0


def test_an_event_that_is_not_committed_yet_is_waited_for(store: EventStore, url: str) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with EventStore.open(url) as other:
        with other.writer.begin() as connection:
            connection.execute(
                insert(tables.events), [stores.event_row(vote("a", NAME), stores.to_json(vote("a", NAME)), "2026")]
            )
            thread = threading.Thread(target=store.erase, args=[NAME])
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
        thread.join()
    assert store.counts().new == 0


def test_one_who_began_to_add_before_and_goes_on_after_is_refused(store: EventStore, url: str) -> None:
    """The insert waits for the erasure's lock, and sees what it committed although its own transaction is older."""
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    outcomes: list[AddResult] = []
    with EventStore.open(url) as other, store.writer.begin() as connection:
        with erasure.unlock(connection, NAME):
            thread = threading.Thread(target=lambda: outcomes.extend(other.add([vote("a", NAME), vote("b")])))
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            store._add_tombstone(connection, digest(NAME), set())
        connection.commit()
        thread.join()
    assert outcomes == [AddResult.FORGOTTEN, AddResult.STORED]


class Killed(BaseException):
    """At a step; and whatever would come after it does not happen either."""


@contextlib.contextmanager
def killed_at(last: int, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """By what outlives a process, as in tests/feedback/folding.py; just before it, for after it is before the next one.

    last: the step at which, and after which, nothing happens.
    """
    steps: list[str] = []

    def count(name: str) -> None:
        steps.append(name)
        if len(steps) >= last:
            raise Killed(name)

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            count(name)
            return function(*arguments, **named)

        return call

    def statement(*_: Any) -> None:
        count("statement")

    connections = []

    def remember(connection: Any, *_: Any) -> None:
        connections.append(connection)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted("sync", os.fsync))
        patch.setattr(erasure, "vacuum", counted("vacuum", erasure.vacuum))
        for name in ("open", "replace", "unlink"):
            patch.setattr(Path, name, counted(name, getattr(Path, name)))
        patch.setattr(event_images.pq, "ParquetWriter", counted("writer", event_images.pq.ParquetWriter))
        listening.listen(store.engine, "checkout", remember)
        for name in ("before_cursor_execute", "commit"):
            listening.listen(store.engine, name, statement)
        try:
            yield steps
        finally:
            for connection in connections:  # as the end of a process does it
                connection.close()


@pytest.fixture
def filled(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], EventStore]:
    """The same project again and again, as it was before a rater was forgotten."""
    url = f"sqlite:///{project.root}/feedback.db"
    with EventStore.open(url) as store:
        fill(project, store)
    template = tmp_path_factory.mktemp("template") / "project"
    shutil.copytree(project.root, template)

    def fresh() -> EventStore:
        for name in project.root.iterdir():
            shutil.rmtree(name) if name.is_dir() else name.unlink()
        shutil.copytree(template, project.root, dirs_exist_ok=True)
        return EventStore.open(url)

    return fresh


@pytest.mark.slow
def test_a_kill_at_any_step_ends_in_the_same_when_it_is_run_again(
    filled: Callable[[], EventStore], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, begun = 0, 0
    steps = ["none yet"]
    gc.freeze()  # what was there before need not be looked at again and again
    while len(steps) >= last:
        last += 1
        with contextlib.suppress(Killed), filled() as store, killed_at(last, store, monkeypatch) as steps:
            forget(project, store, [NAME])
        if steps[-1] == "statement":
            gc.collect()  # a statement that was not read to its end holds SQLite's lock
        with EventStore.open(f"sqlite:///{project.root}/feedback.db") as store:
            if digest(NAME) in store.tombstones() and last % 2:
                catch_up(project, store)
                begun += 1
            else:
                forget(project, store, [NAME])
            assert nothing_left(project, store), steps[-3:]
            assert whole(project, store), steps[-3:]
            assert {event.id for event in sealed_events.read(project.feedback)} == KEPT
    gc.unfreeze()
    assert last > 40
    assert begun > 10


def copy_of(database: Path, to: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(f"VACUUM INTO '{to}'")


def test_a_database_restored_from_an_older_copy_forgets_at_the_next_fold(
    filled: Callable[[], EventStore], project: Project
) -> None:
    with filled() as store:
        copy_of(project.root / "feedback.db", project.root / "copy")
        forget(project, store, [NAME])
    for path in project.root.glob("feedback.db*"):
        path.unlink()
    (project.root / "copy").rename(project.root / "feedback.db")
    with EventStore.open(f"sqlite:///{project.root}/feedback.db") as store:
        assert store.tombstones() == {}
        assert catch_up(project, store) == 1
        assert nothing_left(project, store)
        assert whole(project, store)


def test_another_machine_s_database_lets_nobody_in_whom_the_manifest_names(
    filled: Callable[[], EventStore], project: Project
) -> None:
    with filled() as store:
        forget(project, store, [NAME])
    with EventStore.open(f"sqlite:///{project.root}/other.db") as other:
        assert catch_up(project, other) == 1
        assert other.add([vote("m-1", NAME)]) == [AddResult.FORGOTTEN]
        assert catch_up(project, other) == 0


def test_sealed_files_that_were_checked_out_from_before_lose_the_rater_again(
    filled: Callable[[], EventStore], project: Project
) -> None:
    with filled() as store:
        shutil.copytree(project.feedback, project.root / "before")
        shutil.copy(project.manifest, project.root / "before.json")
        forget(project, store, [NAME])
        shutil.rmtree(project.feedback)
        (project.root / "before").rename(project.feedback)
        (project.root / "before.json").rename(project.manifest)
        assert catch_up(project, store) == 1
        assert nothing_left(project, store)
        assert whole(project, store)


def test_sealed_files_that_are_not_there_are_asked_for_before_anything_changes(
    filled: Callable[[], EventStore], project: Project
) -> None:
    with filled() as store:
        shutil.rmtree(project.feedback)
        with pytest.raises(GenloopError, match="dvc pull"):
            forget(project, store, [NAME])
        assert store.tombstones() == {}


def test_what_a_killed_fold_left_half_written_goes_too(store: EventStore, project: Project) -> None:
    fill(project, store)
    (project.feedback / ".events-x.parquet.123.partial").write_bytes(NAME.encode())
    uploads.remove(project.uploads, "0" * 64)
    (project.uploads / f".{hashlib.sha256(picture(3)).hexdigest()}.123.partial").write_bytes(picture(3))
    forget(project, store, [NAME])
    assert nothing_left(project, store)


def test_an_import_rejects_them_and_repeats_nothing_of_theirs(configured: Project) -> None:
    with EventStore.open(configured.database_url) as store:
        forget(configured, store, [NAME])
    said = {"type": "upload", "rater": NAME, "at": "2026-01-31T12:00:00Z", "image": base64.b64encode(picture(9)).decode()}
    other = {**said, "rater": "keeper", "image": base64.b64encode(picture(8)).decode()}
    shared = {**said, "image": other["image"]}
    Path("said.jsonl").write_text(lines(said, other, shared))
    found = imported(configured, "said.jsonl")
    assert (found["stored"], found["rejected"]) == (1, {"rater asked to be forgotten": 2})
    assert [(one["line"], one["record"]) for one in rejects("said.jsonl")] == [(1, None), (3, None)]
    assert NAME not in Path("said.jsonl.rejected.jsonl").read_text()
    assert [path.read_bytes() for path in configured.uploads.iterdir()] == [picture(8)]


def test_the_sealed_events_of_a_rater_and_of_ids_are_found(store: EventStore, project: Project) -> None:
    first, last = fill(project, store)
    found = seal.events_of(project.feedback, NAME)
    assert {batch: [event.id for event in said] for batch, said in found.items()} == {
        first: ["m-1", "m-2", "m-3", "m-4", "m-5"],
        last: ["m-6", "m-7"],
    }
    assert seal.events_of(project.feedback, "nobody") == {}
    assert {name: event.rater for name, event in seal.find(project.feedback, ["m-6", "k-4", "x"]).items()} == {
        "m-6": NAME,
        "k-4": "keeper",
    }


def test_the_digest_is_no_name_and_stays_what_it_is() -> None:
    assert digest("ann") == forgetting.digest("ann") == tables.digest("ann")
    assert digest("ann") == hashlib.sha256(b"genloop-rater:ann").hexdigest()


def test_what_postgresql_notes_for_its_planner_has_no_names(store: EventStore, project: Project) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite notes nothing of its own accord")
    store.add([vote(f"m-{number}", NAME, number) for number in range(500)] + [vote("a", "keeper")])
    with store.engine.connect() as connection:
        connection.execute(text("ANALYZE events"))
    forget(project, store, [NAME])
    assert NAME.encode() not in files_of(store)
