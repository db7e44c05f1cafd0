"""Imports a file of events into the store; records that are rejected are listed beside the file, each with the reason.

A record without an id gets one that is made of its content, so that the same file twice, the same in another format, or a
later and longer export adds nothing twice. Where an export has no times, timelines.py tells which of its answers are new.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.feedback import events
from pipelines.feedback.events import IMPORTED, Choice, Event, RecordError, Report, Upload, Vote, short_repr
from pipelines.feedback.imports import columns, foreign
from pipelines.feedback.imports.base import AnswerWords, Entry, Format, ImportFile, Record, recognise
from pipelines.feedback.imports.timelines import AnswerTimelines
from pipelines.feedback.sealed import uploads
from pipelines.feedback.store.event_store import AddResult, EventStore

if TYPE_CHECKING:
    from pipelines.core.images import Limits

# Of one transaction; whichever is reached first. The second bounds memory where records hold images.
AT_ONCE = 1000
BYTES_AT_ONCE = 2**25
UNKNOWN = {"id": "import", "image": "0" * 64}  # in place of what is made later

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class ImportOptions:
    """at: the time of what the file has no time for. uploads: the folder where images are kept. sealed: that of sealed events,
    whose answers are known too."""

    at: datetime
    limits: Limits
    uploads: Path
    words: AnswerWords = field(default_factory=AnswerWords)
    sealed: Path | None = None


@dataclass(frozen=True)
class ImportSummary:
    """What became of the records. rejected: their number by reason. rejects: the file that lists them, if there are any.

    undated: usable answers that came without a time. outdated: those of them that differ from a later answer of their rater.
    versions: number of usable events by the version whose samples they are about.
    not_read: number of parts of the file by their name that are no answers of people, such as predictions.
    """

    format: str
    rows: int
    stored: int
    duplicates: int
    rejected: dict[str, int]
    rejects: Path | None
    undated: int = 0
    outdated: int = 0
    versions: dict[int, int] = field(default_factory=dict)
    not_read: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportEntry:
    """What a file says on a line, on its way into the store. event: or why there is none."""

    line: int
    excerpt: Any
    event: Event | RecordError
    undated: bool


def load(
    path: Path,
    store: EventStore,
    options: ImportOptions,
    name: str | None = None,
    progress: Progress = lambda rows, done: None,
) -> ImportSummary:
    """Import a file, which is never in memory as a whole; raises InputError where it is unusable as a whole.

    name: of its format in catalogue.IMPORTS; by default what the file looks like.
    progress: is told how many records there were since the last call, and the share of the file that is done.
    """
    file = ImportFile.open(path)
    name = name or recognise(file)
    reader: Format = catalogue.get(catalogue.IMPORTS, name)()
    results: Counter[AddResult | None] = Counter()
    versions: Counter[int] = Counter()
    not_read: Counter[str] = Counter()
    undated, timelines = 0, AnswerTimelines(store, options.sealed, content_id)
    with Rejects(path) as rejects:
        for found, done in portions(file, reader, options, not_read):
            entries = place_undated(found, timelines)
            added, unwanted = add(entries, store), set()
            for one, result in zip(entries, added, strict=True):
                if fault := rejection(one, result):
                    rejects.add(one.line, fault, None if result is AddResult.FORGOTTEN else one.excerpt)
                    unwanted |= {one.event.image} if isinstance(one.event, Upload) else set()
                elif isinstance(one.event, Event):
                    undated += one.undated
                    versions.update(versions_of(one.event))
            for image in unwanted - store.images() if unwanted else ():
                uploads.remove(options.uploads, image)
            results.update(added)
            progress(len(entries), done)
    rejected = dict(rejects.reasons.most_common())
    rows, stored = results.total(), results[AddResult.STORED]
    return ImportSummary(
        format=name,
        rows=rows,
        stored=stored,
        duplicates=rows - stored - sum(rejected.values()),
        rejected=rejected,
        rejects=rejects.path if rejected else None,
        undated=undated,
        outdated=timelines.outdated,
        versions=dict(sorted(versions.items())),
        not_read=dict(not_read),
    )


def portions(
    file: ImportFile, reader: Format, options: ImportOptions, not_read: Counter[str]
) -> Iterator[tuple[list[ImportEntry], float]]:
    """Entries, as many as go into one transaction, and the share of the file that has been read with them.

    Raises InputError where the first record shows that this is no feedback.

    not_read: counts what the reader leaves out of the records.
    """
    if (names := reader.columns(file)) is not None:
        columns.check_columns(names, file.path)
    entries: list[ImportEntry] = []
    size, before = file.path.stat().st_size, 0.0
    for number, record in enumerate(reader.records(file)):
        content = None if record.fault else record.content
        if number == 0 and (what := foreign.describe_record(content, file.start)):
            raise InputError(f"{file.path}: this is {what}")
        not_read.update(reader.not_read(content))
        for entry in read_entries(record, reader, names is not None, options.words):
            excerpt = record.content if entry.excerpt is None else entry.excerpt
            entries.append(ImportEntry(record.line, excerpt, event_or_fault(entry, file.path.parent, options), entry.undated))
        if len(entries) >= AT_ONCE or (record.done - before) * size > BYTES_AT_ONCE:
            yield entries, record.done
            entries, before = [], record.done
    yield entries, 1.0


def read_entries(record: Record, reader: Format, is_row: bool, words: AnswerWords) -> Iterable[Entry]:
    """What a record says; a fault where it cannot be read or says nothing."""
    if record.fault:
        return [Entry(fault=record.fault)]
    try:
        found = list(reader.entries(columns.nest(record.content) if is_row else record.content, words))
    except RecordError as fault:
        return [Entry(fault=fault)]
    return found or [Entry(fault=RecordError("no answer", "nobody has answered this one"))]


def event_or_fault(entry: Entry, folder: Path, options: ImportOptions) -> Event | RecordError:
    try:
        return entry.fault or event_of(entry, folder, options)
    except RecordError as fault:
        return fault


def event_of(entry: Entry, folder: Path, options: ImportOptions) -> Event:
    """The event that an entry stands for; the image of an upload is kept. Raises RecordError where it stands for none."""
    if not isinstance(entry.content, dict):
        return events.parse(entry.content)
    record = dict(entry.content)
    if nameless := record.get("id") is None:
        record["id"] = UNKNOWN["id"]
    if entry.undated:
        record["at"] = options.at
    uploaded = record.get("type") == "upload" and "image" in record
    if uploaded:
        record["image"] = UNKNOWN["image"]
    event = events.parse(record)
    if uploaded:  # the rest is as it should be: now for the image
        data = uploads.find(options.uploads, entry.content["image"], folder, options.limits)
        event = event.model_copy(update={"image": uploads.keep(options.uploads, data, options.limits)})
    return event.model_copy(update={"id": content_id(event)}) if nameless else event


def content_id(event: Event) -> str:
    """An id by what the event says, whatever file it is in."""
    content = json.loads(events.to_json(event))
    del content["id"]
    return f"{IMPORTED}{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]}"


def place_undated(entries: Sequence[ImportEntry], timelines: AnswerTimelines) -> list[ImportEntry]:
    """These entries; events without a time of their own have got their place among the answers of their raters."""
    timelines.read(one.event.rater for one in entries if one.undated and isinstance(one.event, Event))

    def placed(one: ImportEntry) -> ImportEntry:
        if not one.undated or isinstance(one.event, RecordError):
            return one
        try:
            return replace(one, event=timelines.place(one.event, one.line))
        except RecordError as fault:
            return replace(one, event=fault)

    return [placed(one) for one in entries]


def versions_of(event: Event) -> set[int]:
    """The versions whose samples the event is about."""
    if isinstance(event, Choice):
        return {event.winner.version, event.loser.version}
    return {event.sample.version} if isinstance(event, Vote | Report) and event.sample else set()


def add(entries: Sequence[ImportEntry], store: EventStore) -> list[AddResult | None]:
    """Add the events among these entries to the store; None for what is none."""
    results = iter(store.add([one.event for one in entries if not isinstance(one.event, RecordError)]))
    return [None if isinstance(one.event, RecordError) else next(results) for one in entries]


def rejection(one: ImportEntry, result: AddResult | None) -> RecordError | None:
    """Why an entry is not in the store; None where it is."""
    if isinstance(one.event, RecordError):
        return one.event
    if result is AddResult.FORGOTTEN:
        return RecordError(str(result), "nothing of theirs is kept, nor repeated here")
    if result is AddResult.CONFLICT:
        return RecordError(str(result), f"id: {one.event.id} is stored already, with another content")
    return None


class Rejects:
    """FILE.rejected.jsonl: what an import did not take, a line each with its line number, the reason and the record.

    The file is written under a temporary name, and renamed when the import has ended; none where nothing was rejected.
    """

    def __init__(self, imported: Path) -> None:
        self.path = imported.with_name(f"{imported.name}.rejected.jsonl")
        self.temporary = imported.with_name(f".{self.path.name}.{os.getpid()}.partial")
        self.reasons: Counter[str] = Counter()
        self.file: IO[str] | None = None

    def add(self, line: int, fault: RecordError, record: Any) -> None:
        self.reasons[fault.reason] += 1
        self.file = self.file or self.temporary.open("w", encoding="utf-8")
        about = {"line": line, "reason": fault.reason, "detail": fault.detail}
        self.file.write(as_line({**about, "record": record}) or as_line({**about, "record": short_repr(record)}) or "")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
        elif self.file is not None:
            self.temporary.replace(self.path)
            files.sync(self.path.parent)
        else:
            self.path.unlink(missing_ok=True)  # of an earlier import, which is true no longer


def as_line(content: dict[str, Any]) -> str | None:
    """As ASCII, so that half a character can be written, too; dates of Parquet as text. None for what JSON cannot say."""
    try:
        return json.dumps(content, default=str, allow_nan=False) + "\n"
    except (ValueError, RecursionError):
        return None
