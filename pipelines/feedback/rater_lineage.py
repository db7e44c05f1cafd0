"""The lineage of a rater: their events, sealed or still waiting, and what `curate` made of them."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core import shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.feedback.events import Event
from pipelines.feedback.row_lineage import has_shards
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.feedback.store.tables import digest


@dataclass(frozen=True)
class EventSpan:
    """Events of one type: how many, and when the first and the last happened."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class RaterLineage:
    """sealed: events by batch. waiting: those that no fold has sealed yet."""

    sealed: dict[str, list[Event]]
    waiting: list[Event]

    @property
    def events(self) -> list[Event]:
        return [event for batch in (*self.sealed.values(), self.waiting) for event in batch]

    @property
    def types(self) -> dict[str, EventSpan]:
        """By type, the most frequent first."""
        by_type: dict[str, list[datetime]] = {}
        for event in self.events:
            by_type.setdefault(event.type, []).append(event.at)
        most = sorted(by_type.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        return {name: EventSpan(len(times), min(times), max(times)) for name, times in most}


def find(project: Project, rater: str, store: EventStore | None) -> RaterLineage:
    """The rater's events; where there is no database, the sealed ones alone."""
    sealed = seal.events_of(project.feedback, rater)
    known = {event.id for batch in sealed.values() for event in batch}
    waiting = [event for event in store.events_of(rater) if event.id not in known] if store else []
    return RaterLineage(sealed, waiting)


def unknown_rater(project: Project, rater: str, store: EventStore | None) -> InputError:
    """The error for a rater without events: whether they were forgotten, or whose names are like theirs."""
    if is_forgotten(rater, store):
        return InputError(f"{rater}: was forgotten, and nothing of theirs is left")
    near = similar_names(project, rater, store)
    return InputError(f"{rater}: there are no events of theirs" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def is_forgotten(rater: str, store: EventStore | None) -> bool:
    return store is not None and digest(rater) in store.tombstones()


def similar_names(project: Project, rater: str, store: EventStore | None) -> list[str]:
    """Up to three raters with events whose names are most like this one."""
    folder = project.feedback
    raters = {name for path in seal.sealed_files(folder) for name in seal.raters(folder, seal.footer(path)[0])}
    return difflib.get_close_matches(rater, sorted({*raters, *(store.raters() if store else ())}), n=3)


def curation_row(reports: Path, rater: str) -> dict[str, str] | None:
    """The rater's row of the table of raters that `curate` writes; None where it has none."""
    table = reports / "raters.csv"
    if not table.is_file():
        return None
    with table.open(encoding="utf-8", newline="") as file:
        return next((row for row in csv.DictReader(file) if row.get("rater") == rater), None)


def affected_rows(folder: Path, events: Iterable[Event]) -> dict[str, list[str]]:
    """What the events did to data/curated: row_ids of rows `added`, `corrected` or `removed`, and of images `reported`."""
    names = pa.array([event.id for event in events], pa.string())
    parts = shards.read(folder, ["row_id", "events"]) if has_shards(folder) else ()
    changes, reports = table_rows(folder, "changes", names), table_rows(folder, "reported", names)
    return {
        "added": sorted(row["row_id"] for part in parts for row in rows_of_events(part, names).to_pylist()),
        "corrected": [row["row_id"] for row in changes if not row["removed"]],
        "removed": [row["row_id"] for row in changes if row["removed"]],
        "reported": [row["row_id"] for row in reports],
    }


def table_rows(folder: Path, name: str, names: pa.Array) -> list[dict[str, Any]]:
    """Rows of a table of curated.SCHEMAS that are there because of these events, without images."""
    if not curated.path(folder, name).is_file():
        return []
    return curated.without_images(rows_of_events(curated.read_table(folder, name), names))


def rows_of_events(table: Any, names: pa.Array) -> Any:
    """The rows of a batch or a table whose `events` hold one of these names."""
    lists = table["events"]
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    hits = pc.list_parent_indices(lists).filter(pc.is_in(pc.list_flatten(lists), names))
    return table.take(hits.unique())
