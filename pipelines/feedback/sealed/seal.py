"""Events out of the store into sealed Parquet files, each exactly once.

A sealed file is named by its batch, is never changed, and holds the events themselves with their raters; so what is folded is
known from the files alone, and the database is only asked what is new. Only forgetting.py takes a rater's events out of it
again. A batch passes two points:

    claimed    the database has given its events to it, by state and not by position, so a late commit is only in the next
    sealed     its file exists, whole

A kill in between leaves a claimed batch without a file: the next fold seals the same events under the same name. A database
that was restored from an older copy lacks what the files say: the next fold corrects it, before it claims anything. No file
that the database agrees with is read, so the cost is that of the new events, and of reading each file's footer.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event, Label, Upload, load, to_json

PREFIX = "events-"
SEALED = pa.schema(
    [("id", pa.string()), ("type", pa.string()), ("rater", pa.string()), ("at", pa.string()), ("body", pa.string())]
)


class FoldStore(Protocol):
    """What a fold asks of the event store. Code that only reads sealed files needs no database for it."""

    def batches(self) -> dict[str, int]: ...
    def claim(self, batch: str, limit: int | None = None) -> list[Event]: ...
    def events_in(self, batch: str) -> list[Event]: ...
    def assign(self, ids: Iterable[str], batch: str) -> int: ...


@dataclass(frozen=True)
class SealResult:
    """What a fold did.

    events: their number in new files. batches: of those files, one that a kill had left unsealed among them perhaps.
    corrections: events of which the database did not know that they are sealed.
    """

    events: int
    batches: list[str]
    corrections: int


def fold(store: FoldStore, folder: Path, limit: int | None = None, classes: Sequence[str] | None = None) -> SealResult:
    """Seal what is new in `store` into `folder`. Two at once: the second waits, and finds what is new by then.

    limit: most events of a new file; the others stay new. classes: names of the classes that labels are indices of, if known.
    Raises GenloopError where a sealed file is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        known = {batch: count for path in sealed_files(folder) for batch, count in [footer(path)]}
        stored = store.batches()
        wrong = [batch for batch, count in known.items() if stored.get(batch, 0) != count]
        corrections = sum(store.assign(ids(folder, batch), batch) for batch in wrong)
        done, unsealed = [], sorted(set(store.batches()) - set(known))
        for batch in unsealed:
            done.append((batch, write(folder, batch, store.events_in(batch), classes)))
        batch = uuid.uuid4().hex
        if claimed := store.claim(batch, limit):
            done.append((batch, write(folder, batch, claimed, classes)))
    return SealResult(sum(count for _, count in done), [batch for batch, _ in done], corrections)


def write_lock(folder: Path) -> FileLock:
    """The lock that is held while sealed files are written: by a fold, or because a rater is forgotten."""
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def write(folder: Path, batch: str, events: list[Event], classes: Sequence[str] | None = None) -> int:
    """events-<batch>.parquet, whole or not at all; the number of events. classes: as `fold` takes them."""
    rows = [
        {"id": event.id, "type": event.type, "rater": event.rater, "at": event.at.isoformat(), "body": to_json(event)}
        for event in events
    ]
    content = io.BytesIO()
    about = {"batch": batch} if classes is None else {"batch": batch, "classes": json.dumps(list(classes))}
    pq.write_table(pa.Table.from_pylist(rows, schema=SEALED.with_metadata(about)), content)
    files.write(events_file(folder, batch), content.getvalue())
    files.sync(folder)
    return len(rows)


def events_file(folder: Path, batch: str) -> Path:
    return folder / f"{PREFIX}{batch}.parquet"


def sealed_files(folder: Path) -> list[Path]:
    """The files of events, in the order of their names."""
    return sorted(folder.glob(f"{PREFIX}*.parquet"))


def footer(path: Path) -> tuple[str, int]:
    """Batch and number of events of a sealed file, from its footer."""
    with open_file(path) as file:
        found = (file.schema_arrow.metadata or {}).get(b"batch", b"").decode()
        if path.name != f"{PREFIX}{found}.parquet":
            raise GenloopError(
                f"{path}: it says that it is of batch {found!r}; put the file back that was sealed (`dvc checkout`)"
            )
        return found, file.metadata.num_rows


def class_names(folder: Path, batch: str) -> list[str] | None:
    """Names of the classes that the labels of a batch's uploads and label events are indices of; None where it has none."""
    with open_file(events_file(folder, batch)) as file:
        stored = (file.schema_arrow.metadata or {}).get(b"classes")
    return None if stored is None else json.loads(stored)


def label_names(folder: Path, ids: Collection[str]) -> dict[str, str]:
    """Class names of the labels that these events give, by the events' ids; only of those that were sealed with names."""
    found = {}
    for path in sealed_files(folder):
        names = class_names(folder, footer(path)[0]) or ()
        for event in select(path, "id", ids) if names else ():
            if isinstance(event, Label | Upload) and event.label is not None and event.label < len(names):
                found[event.id] = names[event.label]
    return found


def ids(folder: Path, batch: str) -> list[str]:
    with open_file(events_file(folder, batch)) as file:
        return file.read(["id"])["id"].to_pylist()


def events(folder: Path, batch: str) -> list[Event]:
    with open_file(events_file(folder, batch)) as file:
        return [load(body) for body in file.read(["body"])["body"].to_pylist()]


def raters(folder: Path, batch: str) -> list[str]:
    with open_file(events_file(folder, batch)) as file:
        return sorted(file.read(["rater"])["rater"].unique().to_pylist())


def events_of(folder: Path, rater: str) -> dict[str, list[Event]]:
    """Batch -> the rater's sealed events in it, where there are some."""
    found = {path: select(path, "rater", [rater]) for path in sealed_files(folder)}
    return {footer(path)[0]: own for path, own in found.items() if own}


def find(folder: Path, ids: Collection[str]) -> dict[str, Event]:
    """The sealed events with these ids, by id; ids that no file has are left out."""
    return {event.id: event for path in sealed_files(folder) for event in select(path, "id", ids)}


def select(path: Path, column: str, values: Collection[str]) -> list[Event]:
    """Events of a sealed file whose `column` is among `values`; the events themselves are only read where there are some."""
    with open_file(path) as file:
        matches = pc.is_in(file.read([column])[column], pa.array(values, pa.string()))
        if not pc.any(matches).as_py():
            return []
        return [load(body) for body in file.read(["body"])["body"].filter(matches).to_pylist()]


def open_file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise GenloopError(f"{path}: a sealed file that cannot be read ({error}); `dvc checkout` brings it back") from None
