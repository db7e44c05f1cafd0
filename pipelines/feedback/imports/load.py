"""A file of events into the store: what is good is kept, what is not is written beside the file with the reason.

A record without an id gets one that is made of its content, so that the same file twice, the same in another format, or a
later and longer export adds nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.feedback import events
from pipelines.feedback.events import Event, Refused, Upload
from pipelines.feedback.imports import columns, reading
from pipelines.feedback.imports.exports import argilla, label_studio
from pipelines.feedback.imports.exports.answers import Words
from pipelines.feedback.imports.readers.base import Record, Source
from pipelines.feedback.imports.rejects import Rejects
from pipelines.feedback.sealed import uploads
from pipelines.feedback.store.event_store import Outcome, Store

if TYPE_CHECKING:
    from pipelines.core.images import Limits

EXPORTS = {"label-studio": label_studio, "argilla": argilla}
TABLES = ("csv", "parquet")
FORMATS = (*reading.KINDS, *EXPORTS)
# Of one transaction; whichever is reached first. The second bounds memory where records hold images.
AT_ONCE = 1000
BYTES_AT_ONCE = 2**25
LOOKED_AT = 100  # records that cannot be read, before the first one that can says what the file is
UNKNOWN = {"id": "import", "image": "0" * 64}  # in place of what is made later

Heed = Callable[[int, float], None]


@dataclass(frozen=True)
class Rules:
    """How a file is understood. `at`: when that was said which the file has no time for."""

    at: datetime
    limits: Limits
    words: Words = field(default_factory=Words)


@dataclass
class Tally:
    """What became of the records; `form` is how they were read."""

    form: str
    rows: int = 0
    stored: int = 0
    known: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    rejects: Path | None = None


@dataclass(frozen=True)
class Candidate:
    """A record on its way into the store. `shown` is what the file of the rejected would say of it."""

    line: int
    shown: Any
    found: Event | Refused
    timeless: bool = False


def load(path: Path, store: Store, rules: Rules, form: str | None = None, heed: Heed = lambda rows, done: None) -> Tally:
    """Import a file, which is never in memory as a whole.

    Args:
        form: one of FORMATS; by default what the file looks like.
        heed: is told of progress: how many records there were since it was last told, and the share of the file.

    Raises:
        InputError: the file as a whole is unusable.
    """
    source = reading.opened(path, None if form in EXPORTS else form)
    form, records = identified(source, form)
    if form in TABLES:
        columns.check(source.columns or [], path)
    tally, size = Tally(form), path.stat().st_size
    with Rejects(path) as rejects:
        waiting: list[Candidate] = []
        before = 0.0
        for record in records:
            waiting += candidates(record, form, path.parent, rules)
            if len(waiting) >= AT_ONCE or (record.done - before) * size > BYTES_AT_ONCE:
                settle(waiting, store, tally, rejects)
                heed(len(waiting), record.done)
                waiting, before = [], record.done
        settle(waiting, store, tally, rejects)
        heed(len(waiting), 1.0)
    tally.rejected = dict(rejects.reasons.most_common())
    tally.rejects = rejects.path if rejects.reasons else None
    return tally


def identified(source: Source, form: str | None) -> tuple[str, Iterator[Record]]:
    """The form that was asked for, else the one of an export where the records are of one; and the records."""
    if form is not None:
        return form, source.records
    if source.columns is not None:
        fits = source.kind == "parquet" and argilla.flat(dict.fromkeys(source.columns))
        return "argilla" if fits else source.kind, source.records
    seen: list[Record] = []
    for record in islice(source.records, LOOKED_AT):
        seen.append(record)
        if record.fault is None:
            break
    found = [name for name, export in EXPORTS.items() if seen and export.fits(seen[-1].content)]
    return (found or [source.kind])[0], chain(seen, source.records)


def candidates(record: Record, form: str, folder: Path, rules: Rules) -> Iterator[Candidate]:
    """What a record holds: one event, several answers of an export, or a fault."""
    if record.fault:
        yield Candidate(record.line, record.content, record.fault)
    elif form in EXPORTS:
        try:
            answers = list(EXPORTS[form].answers(record.content, rules.words))
        except Refused as fault:
            yield Candidate(record.line, record.content, fault)
            return
        if not answers:
            yield Candidate(record.line, record.content, Refused("no answer", "nobody has answered this one"))
        for answer in answers:
            timeless = answer.record is not None and answer.record.get("at") is None
            found = answer.fault or made(answer.record, folder, rules, timeless)
            yield Candidate(record.line, answer.shown, found, timeless)
    else:
        content = columns.nested(record.content) if form in TABLES else record.content
        yield Candidate(record.line, record.content, made(content, folder, rules))


def made(record: Any, folder: Path, rules: Rules, timeless: bool = False) -> Event | Refused:
    try:
        return event_of(record, folder, rules, timeless)
    except Refused as fault:
        return fault


def event_of(record: Any, folder: Path, rules: Rules, timeless: bool) -> Event:
    """The event that a record stands for; the image of an upload is kept.

    Raises:
        Refused: it stands for none.
    """
    if not isinstance(record, dict):
        return events.parse(record)
    given = dict(record)
    if nameless := given.get("id") is None:
        given["id"] = UNKNOWN["id"]
    if timeless:
        given["at"] = rules.at
    uploaded = given.get("type") == "upload" and "image" in given
    if uploaded:
        given["image"] = UNKNOWN["image"]
    event = events.parse(given)
    if uploaded:  # the rest is as it should be: now for the image
        data = uploads.find(record["image"], folder, rules.limits)
        event = event.model_copy(update={"image": uploads.keep(data, rules.limits)})
    return event.model_copy(update={"id": name_of(event, timeless)}) if nameless else event


def name_of(event: Event, timeless: bool) -> str:
    """An id by what the event says, wherever it stands; a time that is not of the file is no part of that."""
    content = json.loads(events.to_json(event))
    for key in ("id", "at") if timeless else ("id",):
        del content[key]
    return f"import-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]}"


def settle(waiting: list[Candidate], store: Store, tally: Tally, rejects: Rejects) -> None:
    """Add what is an event, and count and write down what is not, in the file's order."""
    outcomes = iter(store.add([one.found for one in waiting if not isinstance(one.found, Refused)]))
    unwanted: set[str] = set()
    for one in waiting:
        tally.rows += 1
        if isinstance(one.found, Refused):
            rejects.add(one.line, one.found, one.shown)
            continue
        outcome = next(outcomes)
        if outcome is Outcome.STORED:
            tally.stored += 1
        elif outcome is Outcome.FORGOTTEN:
            rejects.add(one.line, Refused(str(outcome), "nothing of theirs is kept, nor repeated here"), None)
            unwanted.update({one.found.image} if isinstance(one.found, Upload) else ())
        elif outcome is Outcome.KNOWN or one.timeless:  # its id is made of all but the time, which is not the file's
            tally.known += 1
        else:
            detail = f"id: {one.found.id} is known, and says something else"
            rejects.add(one.line, Refused(str(Outcome.REFUSED), detail), one.shown)
            unwanted.update({one.found.image} if isinstance(one.found, Upload) else ())
    for image in unwanted - store.images() if unwanted else ():
        uploads.remove(image)
