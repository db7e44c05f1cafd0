"""The event store: events are added and claimed, and never changed; only `erase` removes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    LargeBinary,
    Table,
    case,
    cast,
    delete,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.core import timestamps
from pipelines.feedback.events import Event, Sample, load, to_json
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store import database, erasure
from pipelines.feedback.store.tables import ERASE, batches, digest, events, favourites, samples, tombstones

AT_ONCE = 1000  # ids in one statement; both databases have a limit
LIKED = '"value":1'  # in the JSON form of a vote
KEY = tuple(column for column in samples.columns if column.primary_key)  # as `Sample.key`
HOW = tuple(column.name for column in samples.columns if not column.primary_key)  # a sample was chosen

T = TypeVar("T")


class AddResult(StrEnum):
    STORED = "stored"
    KNOWN = "known already"  # added before, with the same content
    CONFLICT = "same id with other content"
    FORGOTTEN = "rater asked to be forgotten"


@dataclass(frozen=True)
class EventCounts:
    """folded: claimed by some fold; the sealed files say what they hold."""

    new: int
    folded: int


@dataclass(frozen=True)
class VoteCounts:
    """likes: those of the votes that like."""

    votes: int
    likes: int


class EventStore:
    """One open database. Every method is one transaction: all of it, or nothing.

    >>> with EventStore.open(project.database_url) as store:
    ...     store.add(events)
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.reader = engine.execution_options(reading=True)
        self.writer = database.transactional(engine)
        dialect: Any = sqlite if self.is_sqlite else postgresql
        self.inserts = {table: insert_statement(dialect, table) for table in (events, samples, favourites)}

    @classmethod
    def open(cls, url: str) -> EventStore:
        """The database of `url`, made where there is none; raises what `database.connect` does."""
        return cls(database.connect(url))

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> EventStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, new: Sequence[Event]) -> list[AddResult]:
        """Store the events that are not known; a result for each, in their order."""
        texts = [to_json(event) for event in new]
        first: dict[str, int] = {}
        for place, event in enumerate(new):
            first.setdefault(event.id, place)
        now = timestamps.iso(timestamps.now(), "microseconds")
        # Sorted, so that two that send the same events wait for each other in the same order, and never both.
        rows = [event_row(new[first[key]], texts[first[key]], now) for key in sorted(first)]
        with self._writing(autocommit=len(rows) == 1) as connection:
            stored = self._insert(connection, events, rows)
            known = bodies(connection, [key for key in first if key not in stored])
        forgotten = {new[place].rater for key, place in first.items() if key not in stored and key not in known}
        results = []
        for place, (event, text) in enumerate(zip(new, texts, strict=True)):
            if event.rater in forgotten:
                results.append(AddResult.FORGOTTEN)
            elif event.id in stored and first[event.id] == place:
                results.append(AddResult.STORED)
            else:
                same = known.get(event.id, texts[first[event.id]]) == text
                results.append(AddResult.KNOWN if same else AddResult.CONFLICT)
        return results

    def add_samples(self, shown: Iterable[ShownSample]) -> int:
        """Remember samples that were shown, as they were first; the number of those that were not known."""
        by_key = {one.sample.key: one for one in reversed(list(shown))}
        with self._writing() as connection:
            return len(self._insert(connection, samples, [sample_row(by_key[key]) for key in sorted(by_key)]))

    def shown(self, wanted: Collection[Sample]) -> dict[Sample, ShownSample]:
        """Those of these samples that are known to have been shown."""
        by_key = {sample.key: sample for sample in wanted}
        found: dict[Sample, ShownSample] = {}
        with self._reading() as connection:
            for chunk in chunks(sorted(by_key)):
                for row in connection.execute(select(samples).where(tuple_(*KEY).in_(chunk))).mappings():
                    sample = by_key[row["version"], row["seed"], row["label"], row["prompt"]]
                    found[sample] = ShownSample(sample, **{name: row[name] for name in HOW})
        return found

    def guided(self) -> set[Sample]:
        """Shown samples that were chosen by what people like."""
        with self._reading() as connection:
            rows = connection.execute(select(*KEY).where(samples.c.guided)).all()
        return {Sample.of_key(*row) for row in rows}

    def counts(self) -> EventCounts:
        count = select(func.count()).select_from(events)
        with self._reading() as connection:
            new = connection.execute(count.where(events.c.batch.is_(None))).scalar_one()
            folded = connection.execute(count.where(events.c.batch.is_not(None))).scalar_one()
        return EventCounts(new, folded)

    def votes_since(self, times: Sequence[datetime]) -> list[VoteCounts]:
        """Of each of these times, the votes that were cast since then. All votes count, those that trust rejects as well."""
        texts = [timestamps.iso(time, "microseconds") for time in times]
        counts = [func.count().filter(events.c.at >= text, *more) for text in texts for more in ((), (self._liked(),))]
        with self._reading() as connection:
            votes = select(*counts).where(events.c.type == "vote", events.c.at >= min(texts))
            found = connection.execute(votes).one()
        return [VoteCounts(*pair) for pair in zip(found[::2], found[1::2], strict=True)]

    def waiting_since(self) -> datetime | None:
        """When the oldest event was received that no batch has; None where there is none."""
        oldest = select(func.min(events.c.received_at)).where(events.c.batch.is_(None))
        with self._reading() as connection:
            found = connection.execute(oldest).scalar()
        return None if found is None else datetime.fromisoformat(found)

    def size(self) -> int:
        """Bytes of the database on its server, with what other tools keep in it; of a file, the system knows."""
        assert not self.is_sqlite
        with self._reading() as connection:
            return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())

    def claim(self, batch: str, limit: int | None = None) -> list[Event]:
        """Take the events that no batch has, oldest first, for `batch`; no event is ever in two.

        By state, not by position: what commits late, with whatever id and time, is claimed by the next call.
        """
        new = select(events.c.id).where(events.c.batch.is_(None)).order_by(events.c.received_at, events.c.id).limit(limit)
        # Two that claim at once share the events: neither waits for the other's.
        picked = new.with_for_update(skip_locked=True).cte("picked")
        taken = update(events).where(events.c.id.in_(select(picked.c.id))).values(batch=batch).returning(events.c.body)
        with self._writing() as connection:
            found = load_sorted(connection.execute(taken).scalars())
            if found:
                self._count(connection, batch)
        return found

    def events_in(self, batch: str) -> list[Event]:
        """The events that `claim` has taken for `batch`, in the same order."""
        with self._reading() as connection:
            return load_sorted(connection.execute(select(events.c.body).where(events.c.batch == batch)).scalars())

    def batches(self) -> dict[str, int]:
        """Every batch, with the number of its events, which are not counted for this: it costs no more when they are many."""
        with self._reading() as connection:
            found = connection.execute(select(batches.c.batch, batches.c.events).order_by(batches.c.batch))
            return {str(batch): int(count) for batch, count in found}

    def assign(self, ids: Iterable[str], batch: str) -> int:
        """Give events to the batch whose sealed file holds them, in a database that was restored from an older copy.

        The file is right: an event changes its batch where the database says otherwise, and ids that it does not have
        are passed over. Returns the number of events that changed.
        """
        changed = 0
        left: set[str] = set()
        with self._writing() as connection:
            for chunk in chunks(ids):
                wrong = events.c.id.in_(chunk) & or_(events.c.batch.is_(None), events.c.batch != batch)
                left.update(filter(None, connection.execute(select(events.c.batch).where(wrong).distinct()).scalars()))
                changed += connection.execute(update(events).where(wrong).values(batch=batch)).rowcount
            for counted in (batch, *sorted(left)):
                self._count(connection, counted)
        return changed

    def events_outside(self, kind: str, batches: Collection[str], newest: int | None = None) -> list[Event]:
        """All events of a type that are in none of these batches, or the newest of them, oldest first."""
        other = set(self.batches()) - set(batches)
        wanted = select(events.c.at, events.c.body).where(events.c.type == kind).order_by(events.c.at.desc()).limit(newest)
        with self._reading() as connection:
            found = [tuple(row) for row in connection.execute(wanted.where(events.c.batch.is_(None)))]
            for chunk in chunks(other):
                found += [tuple(row) for row in connection.execute(wanted.where(events.c.batch.in_(chunk)))]
        return load_sorted(body for _, body in sorted(found, reverse=True)[:newest])

    def events_of(self, rater: str) -> list[Event]:
        """All events of a rater, oldest first."""
        with self._reading() as connection:
            return load_sorted(connection.execute(select(events.c.body).where(events.c.rater == rater)).scalars())

    def find(self, ids: Iterable[str]) -> dict[str, Event]:
        """The events with these ids, by id; ids that the database does not have are left out."""
        with self._reading() as connection:
            return {name: load(body) for name, body in bodies(connection, list(ids)).items()}

    def withdraw(self, name: str, rater: str) -> bool:
        """Take back the rater's vote or choice with this id; False where a fold has taken it, or there is none."""
        own = (events.c.id == name) & (events.c.rater == rater) & events.c.batch.is_(None)
        own &= events.c.type.in_(("vote", "choice"))
        with self._writing() as connection, erasure.unlock(connection, rater, alone=False):
            return connection.execute(delete(events).where(own)).rowcount > 0

    def add_favourite(self, rater: str, sample: Sample) -> None:
        now = timestamps.iso(timestamps.now(), "microseconds")
        row = {"rater": rater, **key_columns(sample), "at": now}
        with self._writing() as connection:
            self._insert(connection, favourites, [row])

    def remove_favourite(self, rater: str, sample: Sample) -> None:
        table = favourites.c
        same = tuple_(table.rater, table.version, table.seed, table.label, table.prompt).in_([(rater, *sample.key)])
        with self._writing() as connection:
            connection.execute(delete(favourites).where(same))

    def favourites(self, rater: str) -> list[Sample]:
        """The newest first."""
        table = favourites.c
        columns = table.version, table.seed, table.label, table.prompt
        own = select(*columns).where(table.rater == rater).order_by(table.at.desc(), *columns)
        with self._reading() as connection:
            return [Sample.of_key(*row) for row in connection.execute(own)]

    def images(self) -> set[str]:
        """sha256 of every upload that an event in the database holds."""
        with self._reading() as connection:
            return erasure.upload_images(connection)

    def raters(self) -> list[str]:
        with self._reading() as connection:
            return list(connection.execute(select(events.c.rater).distinct().order_by(events.c.rater)).scalars())

    def erase_requests(self) -> list[str]:
        """Raters who have asked to be forgotten, and have not been yet."""
        with self._reading() as connection:
            return list(connection.execute(select(events.c.rater).where(ERASE).distinct().order_by(events.c.rater)).scalars())

    def erase(self, *raters: str) -> list[str]:
        """Remove everything of these raters so that its bytes are gone from the database's files; nothing of theirs comes back.

        Both databases are written anew for that, so it takes a time that grows with their size. Backups, and PostgreSQL's
        own log of writes, are not ours to clean. Prompts that no event and no favourite names any more go as well, because
        nobody knows who wrote them. Returns the ids of the events. Which uploads are left to remove, because no
        event holds them any more, is in `tombstones`, until `finish`.
        """
        deleted: list[Any] = []
        with self._writing() as connection:
            for rater in raters:
                with erasure.unlock(connection, rater):
                    images = erasure.images_of_one(connection, rater)
                    own = delete(events).where(events.c.rater == rater).returning(events.c.id, events.c.batch)
                    deleted += connection.execute(own).all()
                connection.execute(delete(favourites).where(favourites.c.rater == rater))
                self._add_tombstone(connection, digest(rater), images)
            erasure.remove_prompts(connection)
            for batch in sorted({batch for _, batch in deleted if batch}):
                self._count(connection, batch)
        with database.database_errors(self.engine.url):
            erasure.vacuum(self.engine)
        return sorted(name for name, _ in deleted)

    def add_tombstones(self, digests: Iterable[str]) -> None:
        """Let no event in of raters who were forgotten elsewhere, and of whom this database holds none."""
        with self._writing() as connection:
            for one in sorted(digests):
                self._add_tombstone(connection, one, set())

    def tombstones(self) -> dict[str, list[str] | None]:
        """Digest of every rater who was forgotten -> sha256 of images that are still to be removed, None when all is done."""
        with self._reading() as connection:
            found = connection.execute(select(tombstones.c.digest, tombstones.c.images).order_by(tombstones.c.digest))
            return {str(one): None if images is None else images.split() for one, images in found}

    def finish(self, digests: Iterable[str]) -> None:
        """Note that nothing of these raters is left anywhere."""
        with self._writing() as connection:
            for chunk in chunks(digests):
                connection.execute(update(tombstones).where(tombstones.c.digest.in_(chunk)).values(images=None))

    def _add_tombstone(self, connection: Connection, one: str, images: set[str]) -> None:
        same = tombstones.c.digest == one
        before = connection.execute(select(tombstones.c.images).where(same)).scalar()
        connection.execute(delete(tombstones).where(same))
        left = " ".join(sorted({*images, *(before or "").split()}))
        connection.execute(tombstones.insert(), {"digest": one, "images": left})

    def _liked(self) -> ColumnElement[bool]:
        """Whether a vote likes, by its JSON form, in whose texts quotation marks are escaped."""
        if not self.is_sqlite:
            return func.strpos(events.c.body, LIKED) > 0
        # SQLite looks through a text slowly, and votes without a reason end with their value.
        end = func.substr(cast(events.c.body, LargeBinary), -len(LIKED) - 1)
        liked, disliked = (f"{value}}}".encode()[-len(LIKED) - 1 :] for value in (LIKED, '"value":-1'))
        return case((end == liked, true()), (end == disliked, false()), else_=func.instr(events.c.body, LIKED) > 0)

    def _count(self, connection: Connection, batch: str) -> None:
        count = connection.execute(select(func.count()).where(events.c.batch == batch)).scalar_one()
        connection.execute(delete(batches).where(batches.c.batch == batch))
        if count:
            connection.execute(batches.insert(), {"batch": batch, "events": count})

    def _insert(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> set[Any]:
        """Insert rows; the keys of the new ones."""
        if not rows:
            return set()
        found = connection.execute(self.inserts[table], rows)
        return set(found.scalars() if table is events else map(tuple, found))

    @contextmanager
    def _writing(self, autocommit: bool = False) -> Iterator[Connection]:
        """A transaction. `autocommit`: for a single statement, which saves PostgreSQL two of three messages."""
        with database.database_errors(self.engine.url), (self.engine if autocommit else self.writer).begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.database_errors(self.engine.url), self.reader.begin() as connection:
            yield connection


def insert_statement(dialect: Any, table: Table) -> Executable:
    """The statement that adds rows whose keys are new, and returns these keys."""
    key = list(table.primary_key.columns)
    return dialect.insert(table).on_conflict_do_nothing(index_elements=key).returning(*key)


def event_row(event: Event, body: str, now: str) -> dict[str, Any]:
    about = {"id": event.id, "type": event.type, "rater": event.rater, "at": timestamps.iso(event.at, "microseconds")}
    return {**about, "body": body, "received_at": now}


def sample_row(shown: ShownSample) -> dict[str, Any]:
    return {**key_columns(shown.sample), **{name: getattr(shown, name) for name in HOW}}


def key_columns(sample: Sample) -> dict[str, Any]:
    return dict(zip((column.name for column in KEY), sample.key, strict=True))


def chunks(ids: Iterable[T]) -> Iterator[list[T]]:
    every = list(ids)
    for start in range(0, len(every), AT_ONCE):
        yield every[start : start + AT_ONCE]


def bodies(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in chunks(ids):
        rows = connection.execute(select(events.c.id, events.c.body).where(events.c.id.in_(chunk)))
        found.update((name, body) for name, body in rows)
    return found


def load_sorted(bodies: Iterable[str]) -> list[Event]:
    return sorted(map(load, bodies), key=lambda event: (event.at, event.id))
