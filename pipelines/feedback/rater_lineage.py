"""What there is of one rater: what they said, sealed or still waiting, and what `curate` made of them."""

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

from pipelines.core import paths, shards
from pipelines.core.errors import InputError
from pipelines.feedback import curated
from pipelines.feedback.events import Event
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import Store
from pipelines.feedback.store.tables import digest


@dataclass(frozen=True)
class Span:
    """Events of one type: how many, and when the first and the last was said."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Traces:
    """sealed: events by the batch of their fold. waiting: those that no fold has sealed yet."""

    sealed: dict[str, list[Event]]
    waiting: list[Event]

    @property
    def events(self) -> list[Event]:
        return [event for said in (*self.sealed.values(), self.waiting) for event in said]

    @property
    def types(self) -> dict[str, Span]:
        """Most first."""
        by_type: dict[str, list[datetime]] = {}
        for event in self.events:
            by_type.setdefault(event.type, []).append(event.at)
        most = sorted(by_type.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        return {name: Span(len(times), min(times), max(times)) for name, times in most}


def of(rater: str, store: Store | None, folder: Path = paths.FEEDBACK) -> Traces:
    """Without a database, of the sealed files alone."""
    sealed = seal.said_by(folder, rater)
    known = {event.id for said in sealed.values() for event in said}
    waiting = [event for event in store.said_by(rater) if event.id not in known] if store else []
    return Traces(sealed, waiting)


def unknown(rater: str, store: Store | None, folder: Path = paths.FEEDBACK) -> InputError:
    """For somebody who has said nothing: whether they were forgotten, or whose names are like theirs."""
    if store and digest(rater) in store.forgotten():
        return InputError(f"{rater}: was forgotten, and nothing of theirs is left")
    raters = {name for path in seal.sealed(folder) for name in seal.raters(folder, seal.about(path)[0])}
    near = difflib.get_close_matches(rater, sorted({*raters, *(store.raters() if store else ())}), n=3)
    return InputError(f"{rater}: has said nothing" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def standing(rater: str, table: Path = paths.REPORTS / "raters.csv") -> dict[str, str] | None:
    """The rater's line of what `curate` says of raters; None where it says nothing."""
    if not table.is_file():
        return None
    with table.open(encoding="utf-8", newline="") as file:
        return next((line for line in csv.DictReader(file) if line.get("rater") == rater), None)


def touched(events: Iterable[Event]) -> dict[str, list[str]]:
    """What these did to the newest dataset: row_ids of rows `added`, `corrected` or `removed`, and of pictures `reported`."""
    names = pa.array([event.id for event in events], pa.string())
    parts = shards.read(paths.CURATED, ["row_id", "events"]) if any(paths.CURATED.glob("part-*.parquet")) else ()
    changes, reports = lines("changes", names), lines("reported", names)
    return {
        "added": sorted(line["row_id"] for part in parts for line in naming(part, names).to_pylist()),
        "corrected": [line["row_id"] for line in changes if not line["removed"]],
        "removed": [line["row_id"] for line in changes if line["removed"]],
        "reported": [line["row_id"] for line in reports],
    }


def lines(name: str, names: pa.Array) -> list[dict[str, Any]]:
    """Those of a table of curated.SCHEMAS whose events are among these, without images."""
    if not curated.path(paths.CURATED, name).is_file():
        return []
    table = naming(curated.read_table(paths.CURATED, name), names)
    return table.select([column for column in table.column_names if column != "image"]).to_pylist()


def naming(table: Any, names: pa.Array) -> Any:
    """The lines of a batch or a table whose `events` name one of these."""
    lists = table["events"]
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    hits = pc.list_parent_indices(lists).filter(pc.is_in(pc.list_flatten(lists), names))
    return table.take(hits.unique())
