"""The event store on SQLite and on PostgreSQL: nothing is lost, nothing counts twice, nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event, Sample, load, parse
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store import event_store as stores
from pipelines.feedback.store.event_store import AddResult, EventStore
from pipelines.feedback.store.tables import digest, events
from tests.conftest import REPOSITORY
from tests.feedback import disk, writer
from tests.feedback.writer import vote

STORED, KNOWN, REFUSED = AddResult.STORED, AddResult.KNOWN, AddResult.CONFLICT


def stored(store: EventStore, names: Sequence[str]) -> list[Event]:
    """The stored events with these ids, in the order of the ids."""
    with store.reader.begin() as connection:
        found = stores.bodies(connection, names)
    return [load(found[name]) for name in dict.fromkeys(names) if name in found]


def ids(found: Sequence[Event]) -> list[str]:
    return [event.id for event in found]


def writers(arguments: Sequence[Sequence[str]]) -> list[int]:
    """Run so many processes, all of which begin at the same time; what each printed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen(
            [sys.executable, writer.__file__, *some],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for some in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), [errors for _, errors in found]
    return [int(printed) for printed, _ in found]


def test_an_event_comes_back_as_it_went_in(store: EventStore) -> None:
    said = [
        vote("a"),
        parse({"id": "b", "type": "erase", "rater": "bob", "at": "2026-02-01T12:00:00.123456+05:30"}),
        parse(
            {"id": "c", "type": "report", "rater": "bob", "at": "2026-02-01T12:00:00Z", "row": "0" * 64, "reason": "ü'\"\n%"}
        ),
    ]
    assert store.add(said) == [STORED] * 3
    assert stored(store, ["c", "a", "nobody", "b", "a"]) == [said[2], said[0], said[1]]


def test_the_same_event_twice_counts_once(store: EventStore) -> None:
    assert store.add([vote("a"), vote("b"), vote("a")]) == [STORED, STORED, KNOWN]
    assert store.add([vote("a")]) == [KNOWN]
    assert store.add([]) == []
    assert store.counts() == stores.EventCounts(new=2, folded=0)


def test_the_same_id_with_other_content_is_refused_and_changes_nothing(store: EventStore) -> None:
    assert store.add([vote("a"), vote("a", value=-1)]) == [STORED, REFUSED]
    assert store.add([vote("b"), vote("a", rater="eve"), vote("a")]) == [STORED, REFUSED, KNOWN]
    assert stored(store, ["a"]) == [vote("a")]


def test_many_events_in_one_call(store: EventStore) -> None:
    many = [vote(f"v{number}", seed=number) for number in range(5001)]
    assert store.add(many) == [STORED] * 5001
    assert store.add(many[::-1]) == [KNOWN] * 5001
    assert stored(store, ids(many)) == many


def test_a_claim_takes_what_is_new_and_no_event_is_in_two(store: EventStore) -> None:
    store.add(
        [vote("b", at="2026-01-02T00:00:00Z"), vote("a", at="2026-01-03T00:00:00Z"), vote("c", at="2026-01-01T00:00:00Z")]
    )
    assert ids(store.claim("first")) == ["c", "b", "a"]  # in the order in which they were said
    assert store.claim("second") == []
    store.add([vote("d")])
    assert ids(store.claim("second")) == ["d"]
    assert ids(store.events_in("first")) == ["c", "b", "a"]
    assert store.batches() == {"first": 3, "second": 1}
    assert store.counts() == stores.EventCounts(new=0, folded=4)


def test_a_claim_with_a_limit_takes_what_came_first(store: EventStore) -> None:
    for name in "zya":
        store.add([vote(name)])
    assert sorted(ids(store.claim("first", limit=2))) == ["y", "z"]
    assert ids(store.claim("second", limit=2)) == ["a"]


def test_what_the_shards_hold_is_marked_in_a_database_that_was_restored(store: EventStore) -> None:
    store.add([vote("a"), vote("b"), vote("c"), vote("d")])
    store.claim("wrong", limit=1)
    assert store.assign(["a", "b", "c", "lost"], "sealed") == 3
    assert store.assign(["a", "b", "c", "lost"], "sealed") == 0
    assert ids(store.claim("next")) == ["d"]
    assert store.batches() == {"next": 1, "sealed": 3}


def test_claims_at_the_same_time_share_what_there_is(store: EventStore, url: str) -> None:
    store.add([vote(f"v{number}") for number in range(2000)])

    def claim(name: int) -> list[str]:
        with EventStore.open(url) as own:
            return ids(own.claim(f"batch-{name}", limit=300))

    with ThreadPoolExecutor(8) as pool:
        claimed = [one for some in pool.map(claim, range(8)) for one in some]
    claimed += ids(store.claim("rest"))
    assert sorted(claimed) == sorted(f"v{number}" for number in range(2000))


def test_what_commits_late_with_a_lower_id_is_claimed_by_the_next(store: EventStore, url: str) -> None:
    """T3: on PostgreSQL it was there first and became visible last; a watermark would never see it."""
    late = stores.event_row(vote("a"), stores.to_json(vote("a")), "2020-01-01T00:00:00.000000Z")
    if store.is_sqlite:  # there is one writer at a time: it can only come later
        store.add([vote("b")])
        assert ids(store.claim("first")) == ["b"]
        with store.writer.begin() as connection:
            connection.execute(insert(events), [late])
    else:
        with store.writer.begin() as connection:
            connection.execute(insert(events), [late])
            with EventStore.open(url) as other:
                other.add([vote("b")])
                assert ids(other.claim("first")) == ["b"]
    assert ids(store.claim("second")) == ["a"]


def test_of_two_that_send_the_same_id_at_once_one_stores_it(store: EventStore, url: str) -> None:
    """The second waits for the first's transaction, whatever becomes of it."""
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    outcomes = []
    with EventStore.open(url) as other:
        with store.writer.begin() as connection:
            connection.execute(insert(events), [stores.event_row(vote("a"), stores.to_json(vote("a")), "2026")])
            thread = threading.Thread(target=lambda: outcomes.extend(other.add([vote("a"), vote("b")])))
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
        thread.join()
    assert outcomes == [KNOWN, STORED]


def test_eight_processes_write_and_nothing_is_lost(url: str) -> None:
    """They also come to an empty database at the same time, as first users."""
    stored = writers([(url, f"w{number}", "200", "1" if number % 2 else "20") for number in range(8)])
    assert stored == [200] * 8
    with EventStore.open(url) as store:
        assert store.counts().new == 1600
        assert sorted(ids(store.claim("all"))) == sorted(f"w{w}-{n}" for w in range(8) for n in range(200))


def test_processes_that_send_the_same_events_store_each_once(url: str) -> None:
    stored = writers([(url, "same", "300", batch) for batch in ("1", "7", "50", "300")])
    assert sum(stored) == 300
    with EventStore.open(url) as store:
        assert store.counts().new == 300


def forbidden(store: EventStore, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), store.writer.begin() as connection:
        connection.execute(text(statement))


def test_nobody_changes_or_deletes_an_event(store: EventStore) -> None:
    store.add([vote("a"), vote("b")])
    for column in ("id", "type", "rater", "at", "body", "received_at"):
        forbidden(store, f"UPDATE events SET {column} = 'x' WHERE id = 'a'")
    forbidden(store, "DELETE FROM events")
    if not store.is_sqlite:
        forbidden(store, "TRUNCATE events")
    with store.writer.begin() as connection:
        connection.execute(text("UPDATE events SET batch = 'x'"))
    assert stored(store, ["a", "b"]) == [vote("a"), vote("b")]


def test_replacing_is_no_way_around(store: EventStore) -> None:
    if not store.is_sqlite:
        pytest.skip("a statement of SQLite's")
    store.add([vote("a")])
    with store.writer.begin() as connection:
        connection.execute(
            text("INSERT OR REPLACE INTO events SELECT id, type, 'eve', at, body, received_at, batch FROM events")
        )
        assert connection.execute(text("SELECT rater FROM events")).scalars().all() == ["ann"]


def shown(*samples: Sample) -> list[ShownSample]:
    return [ShownSample(sample) for sample in samples]


def test_samples_are_remembered_with_and_without_a_label(store: EventStore) -> None:
    drawn = shown(*(Sample(version=1, seed=seed, label=5) for seed in range(3)), Sample(version=1, seed=0))
    assert store.add_samples(drawn) == 4
    assert store.add_samples([*drawn, *shown(Sample(version=2, seed=0, label=5))]) == 1
    assert store.add_samples([]) == 0
    assert store.add_samples(shown(Sample(version=1, seed=0), Sample(version=2, seed=0, label=5))) == 0
    assert store.add_samples(shown(Sample(version=2, seed=0), Sample(version=1, seed=0, label=4))) == 2


def test_a_sample_stays_as_it_was_first_shown(store: EventStore) -> None:
    chosen = ShownSample(Sample(version=1, seed=7, label=2), True, "abc", 0.5, 0.75, 3, 0.625)
    plain = ShownSample(Sample(version=1, seed=8))
    assert store.add_samples([chosen, ShownSample(chosen.sample)]) == 1
    assert store.add_samples([ShownSample(chosen.sample), plain]) == 1
    unknown = Sample(version=1, seed=9)
    assert store.shown([chosen.sample, plain.sample, unknown]) == {chosen.sample: chosen, plain.sample: plain}
    assert store.shown([]) == {}


FOX, BOAT = (Sample(version=1, seed=0, prompt=words) for words in ("a fox", "a boat"))


def test_samples_of_one_seed_differ_by_their_prompts(store: EventStore) -> None:
    fox = ShownSample(FOX, True, "abc", 0.5, 0.75, 3, 0.625)
    assert store.add_samples([fox, *shown(BOAT, Sample(version=1, seed=0), Sample(version=1, seed=0, label=0))]) == 4
    assert store.add_samples(shown(FOX, BOAT)) == 0
    assert store.shown([FOX, Sample(version=1, seed=0, prompt="A fox")]) == {FOX: fox}
    assert store.guided() == {FOX}


def test_favourites_differ_by_their_prompts(store: EventStore) -> None:
    plain = Sample(version=1, seed=0)
    for sample in (FOX, plain, FOX):
        store.add_favourite("ann", sample)
    assert set(store.favourites("ann")) == {FOX, plain}
    store.remove_favourite("ann", BOAT)
    store.remove_favourite("ann", plain)
    assert store.favourites("ann") == [FOX]


def test_prompts_go_with_the_last_who_named_them(store: EventStore) -> None:
    car, tree = (Sample(version=1, seed=0, prompt=words) for words in ("a car", "a tree"))
    plain = Sample(version=1, seed=0, label=1)
    store.add_samples(shown(FOX, BOAT, car, tree, plain))

    def about(name: str, rater: str, sample: Sample) -> Event:
        record = {"id": name, "type": "vote", "rater": rater, "at": "2026-01-31T12:00:00Z", "value": 1}
        return parse({**record, "sample": sample.model_dump(exclude_none=True)})

    store.add([about("1", "ann", FOX), about("2", "ann", BOAT), about("3", "bob", BOAT)])
    store.add_favourite("ann", car)
    store.add_favourite("bob", tree)
    store.erase("ann")
    assert set(store.shown([FOX, BOAT, car, tree, plain])) == {BOAT, tree, plain}


@pytest.fixture
def files_of(store: EventStore, url: str) -> Callable[[], bytes]:
    """All that the database has on the disk, but for PostgreSQL's log of writes."""

    def lite() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(Path(str(store.engine.url.database)).parent.glob("feedback.db*")))

    def full() -> bytes:
        with store.engine.connect() as connection:
            connection.execute(text("CHECKPOINT"))
            folder = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        return b"".join(disk.of_postgres(folder / part) for part in ("base", "global"))

    return lite if store.is_sqlite else full


def test_erase_leaves_no_byte_of_the_rater(store: EventStore, files_of: Callable[[], bytes]) -> None:
    said = [vote(f"mallory-{n}", "mallory-77", seed=n) for n in range(3000)]
    kept = [vote(f"kept-{n}", "keeper", seed=n) for n in range(3000)]
    # Mixed, in small transactions, so that pages are split and moved with both on them.
    for start in range(0, 3000, 100):
        store.add([event for pair in zip(said, kept, strict=True) for event in pair][2 * start : 2 * start + 200])
    store.claim("first", limit=2500)
    assert b"mallory" in files_of()
    done = store.erase("mallory-77")
    assert sorted(done) == sorted(ids(said))
    content = files_of()
    assert b"keeper" in content
    assert b"mallory" not in content
    assert sum(store.batches().values()) + store.counts().new == 3000
    assert stored(store, ids(kept)) == kept
    forbidden(store, "DELETE FROM events")
    assert store.erase("mallory-77") == []


def test_erase_tells_which_images_nobody_else_has_sent(store: EventStore) -> None:
    def upload(name: str, rater: str, image: str) -> Event:
        return parse({"id": name, "type": "upload", "rater": rater, "at": "2026-01-31T12:00:00Z", "image": image * 64})

    store.add([upload("1", "eve", "a"), upload("2", "eve", "b"), upload("3", "bob", "b"), upload("4", "bob", "c")])
    assert store.erase("eve") == ["1", "2"]
    assert store.tombstones()[digest("eve")] == ["a" * 64]


def test_erase_says_when_a_reader_keeps_the_bytes_alive(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    if not store.is_sqlite:
        pytest.skip("of SQLite's log")
    store.add([vote("a")])
    with EventStore.open(str(store.engine.url)) as other, other.reader.begin() as connection:
        connection.execute(text("SELECT * FROM events")).all()

        with store.engine.connect() as own:
            own.connection.driver_connection.execute("PRAGMA busy_timeout = 100")  # type: ignore[union-attr]
        with pytest.raises(GenloopError, match=r"not yet their bytes.*forget again"):
            store.erase("ann")
    assert store.erase("ann") == []
