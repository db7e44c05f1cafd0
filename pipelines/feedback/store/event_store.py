"""The event store: what people said is added and claimed, and never changed; only `erase` takes it away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Table, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.feedback.events import Event, Sample, load, to_json
from pipelines.feedback.store import database, erasure
from pipelines.feedback.store.tables import ERASE, NO_LABEL, batches, digest, events, forgotten, samples

AT_ONCE = 1000  # ids in one statement; both databases have a limit


class Outcome(StrEnum):
    STORED = "stored"
    KNOWN = "known already"  # sent before, with the same content
    REFUSED = "same id with other content"
    FORGOTTEN = "rater asked to be forgotten"


@dataclass(frozen=True)
class Counts:
    new: int
    folded: int  # claimed by some fold; the sealed shards say what they hold


@dataclass(frozen=True)
class Erased:
    events: list[str]  # ids
    images: list[str]  # sha256 of uploads that no event in the database holds any more


class Store:
    """One open database. Every method is one transaction: all of it, or nothing.

    >>> with Store.open() as store:
    ...     store.add(events)
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lite = engine.dialect.name == "sqlite"
        self.reader = engine.execution_options(reading=True)
        self.writer = database.transactional(engine)
        dialect: Any = sqlite if self.lite else postgresql
        self.inserts = {table: inserting(dialect, table) for table in (events, samples)}

    @classmethod
    def open(cls, url: str | None = None) -> Store:
        """The database of `url`, by default the configured one, made where there is none.

        Raises:
            InputError: the URL is unusable.
            GenloopError: the database does not answer.
        """
        return cls(database.connect(url))

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, said: Sequence[Event]) -> list[Outcome]:
        """Keep what is new; an outcome for each event, in their order."""
        bodies = [to_json(event) for event in said]
        first: dict[str, int] = {}
        for place, event in enumerate(said):
            first.setdefault(event.id, place)
        now = text_of(datetime.now(UTC))
        # Sorted, so that two that send the same events wait for each other in the same order, and never both.
        rows = [row(said[first[key]], bodies[first[key]], now) for key in sorted(first)]
        with self._writing(alone=len(rows) == 1) as connection:
            stored = self._insert(connection, events, rows)
            known = bodies_of(connection, [key for key in first if key not in stored])
        gone = {said[place].rater for key, place in first.items() if key not in stored and key not in known}
        outcomes = []
        for place, (event, body) in enumerate(zip(said, bodies, strict=True)):
            if event.rater in gone:
                outcomes.append(Outcome.FORGOTTEN)
            elif event.id in stored and first[event.id] == place:
                outcomes.append(Outcome.STORED)
            else:
                there = known.get(event.id, bodies[first[event.id]])
                outcomes.append(Outcome.KNOWN if there == body else Outcome.REFUSED)
        return outcomes

    def add_samples(self, drawn: Iterable[Sample]) -> int:
        """Remember what was drawn and shown; how many of these were not known."""
        rows = [{"version": v, "seed": s, "label": label} for v, s, label in sorted({key(sample) for sample in drawn})]
        with self._writing() as connection:
            return len(self._insert(connection, samples, rows))

    def has_sample(self, sample: Sample) -> bool:
        version, seed, label = key(sample)
        same = (samples.c.version == version) & (samples.c.seed == seed) & (samples.c.label == label)
        with self._reading() as connection:
            return connection.execute(select(samples.c.seed).where(same)).first() is not None

    def counts(self) -> Counts:
        asked = select(func.count()).select_from(events)
        with self._reading() as connection:
            new = connection.execute(asked.where(events.c.batch.is_(None))).scalar_one()
            folded = connection.execute(asked.where(events.c.batch.is_not(None))).scalar_one()
        return Counts(new, folded)

    def claim(self, batch: str, limit: int | None = None) -> list[Event]:
        """Take what no batch has, oldest first, for `batch`; no event is ever in two.

        By state, not by position: what commits late, with whatever id and time, is claimed by the next call.
        """
        new = select(events.c.id).where(events.c.batch.is_(None)).order_by(events.c.received_at, events.c.id).limit(limit)
        # Two that claim at once share what there is: neither waits for the other's.
        picked = new.with_for_update(skip_locked=True).cte("picked")
        taken = update(events).where(events.c.id.in_(select(picked.c.id))).values(batch=batch).returning(events.c.body)
        with self._writing() as connection:
            found = in_order(connection.execute(taken).scalars())
            if found:
                self._count(connection, batch)
        return found

    def claimed(self, batch: str) -> list[Event]:
        """What `claim` has taken for `batch`, in the same order."""
        with self._reading() as connection:
            return in_order(connection.execute(select(events.c.body).where(events.c.batch == batch)).scalars())

    def batches(self) -> dict[str, int]:
        """Every batch, with the number of its events, which are not counted for this: it costs no more when they are many."""
        with self._reading() as connection:
            found = connection.execute(select(batches.c.batch, batches.c.events).order_by(batches.c.batch))
            return {str(batch): int(count) for batch, count in found}

    def release(self, batch: str) -> int:
        """Make the events of `batch` new again, for a fold that came to nothing; how many they are."""
        with self._writing() as connection:
            count = connection.execute(update(events).where(events.c.batch == batch).values(batch=None)).rowcount
            connection.execute(delete(batches).where(batches.c.batch == batch))  # after the events, as everywhere
        return count

    def mark(self, ids: Iterable[str], batch: str) -> int:
        """Say of events that a sealed shard holds them, for a database that was restored from an older copy.

        The shard is right: an event changes its batch where the database says otherwise, and ids that it does not have
        are passed over. Returns how many were changed.
        """
        changed = 0
        left: set[str] = set()
        with self._writing() as connection:
            for some in chunks(ids):
                wrong = events.c.id.in_(some) & or_(events.c.batch.is_(None), events.c.batch != batch)
                left.update(filter(None, connection.execute(select(events.c.batch).where(wrong).distinct()).scalars()))
                changed += connection.execute(update(events).where(wrong).values(batch=batch)).rowcount
            for counted in (batch, *sorted(left)):
                self._count(connection, counted)
        return changed

    def events(self, ids: Iterable[str]) -> list[Event]:
        """Those of these events that are there, in the order of the ids."""
        asked = list(dict.fromkeys(ids))
        with self._reading() as connection:
            found = bodies_of(connection, asked)
        return [load(found[one]) for one in asked if one in found]

    def beyond(self, kind: str, batches: Collection[str]) -> list[Event]:
        """All events of a type that are in none of these batches, oldest first."""
        elsewhere = set(self.batches()) - set(batches)
        of_kind = events.c.type == kind
        with self._reading() as connection:
            found = list(connection.execute(select(events.c.body).where(of_kind & events.c.batch.is_(None))).scalars())
            for some in chunks(elsewhere):
                found += connection.execute(select(events.c.body).where(of_kind & events.c.batch.in_(some))).scalars()
        return in_order(found)

    def said_by(self, rater: str) -> list[Event]:
        """All events of a rater, oldest first."""
        with self._reading() as connection:
            return in_order(connection.execute(select(events.c.body).where(events.c.rater == rater)).scalars())

    def images(self) -> set[str]:
        """sha256 of every upload that an event holds."""
        with self._reading() as connection:
            return erasure.images_of(connection)

    def raters(self) -> list[str]:
        with self._reading() as connection:
            return list(connection.execute(select(events.c.rater).distinct().order_by(events.c.rater)).scalars())

    def erasures(self) -> list[str]:
        """Raters who have asked to be forgotten, and have not been yet."""
        with self._reading() as connection:
            return list(connection.execute(select(events.c.rater).where(ERASE).distinct().order_by(events.c.rater)).scalars())

    def erase(self, *raters: str) -> Erased:
        """Remove everything of these raters so that its bytes are gone from the database's files; nothing of theirs comes back.

        Both databases are written anew for that, so it takes a time that grows with their size. Backups, and PostgreSQL's
        own log of writes, are not ours to clean. Of their uploads `forgotten` tells what is left to do, until `finish`.
        """
        gone: list[Any] = []
        images: set[str] = set()
        with self._writing() as connection:
            for rater in raters:
                with erasure.unlocked(connection, rater):
                    last = erasure.last_images(connection, rater)
                    own = delete(events).where(events.c.rater == rater).returning(events.c.id, events.c.batch)
                    gone += connection.execute(own).all()
                self._entomb(connection, digest(rater), last)
                images |= last
            for batch in sorted({batch for _, batch in gone if batch}):
                self._count(connection, batch)
        with database.asking(self.engine.url):
            erasure.vacuum(self.engine)
        return Erased(sorted(name for name, _ in gone), sorted(images))

    def entomb(self, digests: Iterable[str]) -> None:
        """Let nothing in of raters who were forgotten elsewhere, and of whom this database holds nothing."""
        with self._writing() as connection:
            for one in sorted(digests):
                self._entomb(connection, one, set())

    def forgotten(self) -> dict[str, list[str] | None]:
        """Digest of every rater who was forgotten -> sha256 of images that are to go with them, None when all is done."""
        with self._reading() as connection:
            found = connection.execute(select(forgotten.c.digest, forgotten.c.images).order_by(forgotten.c.digest))
            return {str(one): None if images is None else images.split() for one, images in found}

    def finish(self, digests: Iterable[str]) -> None:
        """Say that nothing of these is left anywhere."""
        with self._writing() as connection:
            for some in chunks(digests):
                connection.execute(update(forgotten).where(forgotten.c.digest.in_(some)).values(images=None))

    def _entomb(self, connection: Connection, one: str, images: set[str]) -> None:
        same = forgotten.c.digest == one
        before = connection.execute(select(forgotten.c.images).where(same)).scalar()
        connection.execute(delete(forgotten).where(same))
        left = " ".join(sorted({*images, *(before or "").split()}))
        connection.execute(forgotten.insert(), {"digest": one, "images": left})

    def _count(self, connection: Connection, batch: str) -> None:
        count = connection.execute(select(func.count()).where(events.c.batch == batch)).scalar_one()
        connection.execute(delete(batches).where(batches.c.batch == batch))
        if count:
            connection.execute(batches.insert(), {"batch": batch, "events": count})

    def _insert(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> set[Any]:
        """The keys of those that were not there."""
        if not rows:
            return set()
        found = connection.execute(self.inserts[table], rows)
        return set(found.scalars() if table is events else map(tuple, found))

    @contextmanager
    def _writing(self, alone: bool = False) -> Iterator[Connection]:
        """A transaction. `alone`: its one statement is all of it, which saves PostgreSQL two of three messages."""
        with database.asking(self.engine.url), (self.engine if alone else self.writer).begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.asking(self.engine.url), self.reader.begin() as connection:
            yield connection


def inserting(dialect: Any, table: Table) -> Executable:
    """Add what is not there, and say what that was."""
    key = list(table.primary_key.columns)
    return dialect.insert(table).on_conflict_do_nothing(index_elements=key).returning(*key)


def row(event: Event, body: str, now: str) -> dict[str, Any]:
    about = {"id": event.id, "type": event.type, "rater": event.rater, "at": text_of(event.at)}
    return {**about, "body": body, "received_at": now}


def text_of(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def key(sample: Sample) -> tuple[int, int, int]:
    return sample.version, sample.seed, NO_LABEL if sample.label is None else sample.label


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    every = list(ids)
    for start in range(0, len(every), AT_ONCE):
        yield every[start : start + AT_ONCE]


def bodies_of(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in chunks(ids):
        asked = select(events.c.id, events.c.body).where(events.c.id.in_(some))
        found.update((name, body) for name, body in connection.execute(asked))
    return found


def in_order(bodies: Iterable[str]) -> list[Event]:
    return sorted(map(load, bodies), key=lambda event: (event.at, event.id))
