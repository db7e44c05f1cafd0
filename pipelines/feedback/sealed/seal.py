"""Events out of the store into sealed Parquet files, each exactly once.

A sealed file is named by its batch, is never changed, and holds the events themselves with the trail of who said them; so what
is folded is known from the files alone, and the database is only asked what is new. Only forgetting.py takes a rater's events
out of it again. A batch passes two points:

    claimed    the database has given its events to it, by state and not by position, so a late commit is only in the next
    sealed     its file is there, whole

A kill in between leaves a claimed batch without a file: the next fold seals the same events under the same name. A database
that was restored from an older copy lacks what the files say: the next fold tells it, before it claims anything. No file that
the database agrees with is read, so the cost is that of the new events, plus one look at each file's footer.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event, load, to_json

PREFIX = "events-"
SEALED = pa.schema(
    [("id", pa.string()), ("type", pa.string()), ("rater", pa.string()), ("at", pa.string()), ("body", pa.string())]
)


class Store(Protocol):
    """What a fold asks of the one in store.py. Who only reads sealed files needs no database for it."""

    def batches(self) -> dict[str, int]: ...
    def claim(self, batch: str, limit: int | None = None) -> list[Event]: ...
    def claimed(self, batch: str) -> list[Event]: ...
    def mark(self, ids: Iterable[str], batch: str) -> int: ...


@dataclass(frozen=True)
class Fold:
    """What a fold did.

    sealed: events in new files. batches: names of those files' batches, one that a kill had left unsealed among them perhaps.
    told: events of which the database had to be told that they are sealed.
    """

    sealed: int
    batches: list[str]
    told: int


def fold(store: Store, folder: Path, limit: int | None = None) -> Fold:
    """Seal what is new in `store` into `folder`. Two at once: the second waits, and finds what is new by then.

    Args:
        limit: most events of a new file; what is beyond stays new.

    Raises:
        GenloopError: a sealed file is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        known = {batch: count for path in sealed(folder) for batch, count in [about(path)]}
        there = store.batches()
        told = sum(store.mark(ids(folder, batch), batch) for batch, count in known.items() if there.get(batch, 0) != count)
        done, unsealed = [], sorted(set(store.batches()) - set(known))
        for batch in unsealed:
            done.append((batch, write(folder, batch, store.claimed(batch))))
        batch = uuid.uuid4().hex
        if claimed := store.claim(batch, limit):
            done.append((batch, write(folder, batch, claimed)))
    return Fold(sum(count for _, count in done), [batch for batch, _ in done], told)


def alone(folder: Path) -> FileLock:
    """To hold while sealed files are written: by a fold, or because a rater is forgotten."""
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def write(folder: Path, batch: str, events: list[Event]) -> int:
    rows = [
        {"id": event.id, "type": event.type, "rater": event.rater, "at": event.at.isoformat(), "body": to_json(event)}
        for event in events
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SEALED.with_metadata({b"batch": batch.encode()})), content)
    files.write(path(folder, batch), content.getvalue())
    files.sync(folder)
    return len(rows)


def path(folder: Path, batch: str) -> Path:
    return folder / f"{PREFIX}{batch}.parquet"


def sealed(folder: Path) -> list[Path]:
    """The sealed files, in an order of their own."""
    return sorted(folder.glob(f"{PREFIX}*.parquet"))


def about(path: Path) -> tuple[str, int]:
    """Batch and number of events of a sealed file, from its footer."""
    with reading(path) as file:
        found = (file.schema_arrow.metadata or {}).get(b"batch", b"").decode()
        if path.name != f"{PREFIX}{found}.parquet":
            raise GenloopError(
                f"{path}: it says that it is of batch {found!r}; put the file back that was sealed (`dvc checkout`)"
            )
        return found, file.metadata.num_rows


def ids(folder: Path, batch: str) -> list[str]:
    with reading(path(folder, batch)) as file:
        return file.read(["id"])["id"].to_pylist()


def events(folder: Path, batch: str) -> list[Event]:
    with reading(path(folder, batch)) as file:
        return [load(body) for body in file.read(["body"])["body"].to_pylist()]


def raters(folder: Path, batch: str) -> list[str]:
    with reading(path(folder, batch)) as file:
        return sorted(file.read(["rater"])["rater"].unique().to_pylist())


def said_by(folder: Path, rater: str) -> dict[str, list[Event]]:
    """Batch -> the rater's sealed events in it, where there are some."""
    found = {path: matching(path, "rater", [rater]) for path in sealed(folder)}
    return {about(path)[0]: said for path, said in found.items() if said}


def find(folder: Path, ids: Collection[str]) -> dict[str, Event]:
    """Those sealed events of these ids that there are."""
    return {event.id: event for path in sealed(folder) for event in matching(path, "id", ids)}


def matching(path: Path, column: str, values: Collection[str]) -> list[Event]:
    """Events of a sealed file whose `column` is among `values`; the events themselves are only read where there are some."""
    with reading(path) as file:
        wanted = pc.is_in(file.read([column])[column], pa.array(values, pa.string()))
        if not pc.any(wanted).as_py():
            return []
        return [load(body) for body in file.read(["body"])["body"].filter(wanted).to_pylist()]


def read(folder: Path) -> Iterator[Event]:
    """Every sealed event, file after file."""
    for path in sealed(folder):
        with reading(path) as file:
            for batch in file.iter_batches(columns=["body"]):
                yield from map(load, batch["body"].to_pylist())


def reading(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise GenloopError(f"{path}: a sealed file that cannot be read ({error}); `dvc checkout` brings it back") from None
