"""From a row of the dataset back to what people said: why it is there, has its class, counts as it does, or is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core import paths, shards
from pipelines.core.errors import InputError
from pipelines.feedback import curated
from pipelines.feedback.events import Event, Sample
from pipelines.feedback.sealed import seal
from pipelines.scoring import approval

BEGINNING = re.compile("[0-9a-f]{8,64}")  # of a row_id
COLUMNS = ["row_id", "label", "source", "origin", "generation", "weight", "events", "split"]
SHOWN = 5  # rows that a beginning may mean, which are named

# What an event did: put the row there; judge it; correct its class; take it away; report it, so that it is not drawn again.
Part = Literal["row", "judged", "label", "removed", "reported"]


@dataclass(frozen=True)
class Told:
    """One event behind a row. weight: of a vote or a choice that counts, how much."""

    event: Event
    part: Part
    weight: float | None = None


@dataclass(frozen=True)
class Trail:
    """row: its COLUMNS as its shard has them; None of a reported picture that is no row.

    label: the class that counts now. weight: in training; 0 of what is not trained on. approval: probability that people like
    it, where rows are weighted by that. sample: what drew it; `liked` is the probability that it is right to like it.
    events: in the order in which they were said. lost: number of events that are sealed no more, for their rater was forgotten.
    """

    row_id: str
    row: dict[str, Any] | None
    label: int | None
    classes: list[str]
    weight: float
    approval: float | None
    removed: bool
    reported: bool
    sample: Sample | None
    liked: float | None
    events: list[Told]
    lost: int

    def name(self, label: int | None) -> str | None:
        return self.classes[label] if label is not None and label < len(self.classes) else None


def find(beginning: str) -> Trail:
    """The trail of the row, or of the reported picture, whose row_id begins like this.

    Raises:
        InputError: it is none or several.
    """
    asked = beginning.lower()
    if not BEGINNING.fullmatch(asked):
        raise InputError(f"{beginning!r}: expected a row_id, or at least its first eight hexadecimal digits")
    found = {row["row_id"]: row for folder in (paths.CLEAN, paths.CURATED) for row in rows(folder, asked)}
    reports, changes = beginning_with("reported", asked), beginning_with("changes", asked)
    ids = sorted({*found, *reports})
    if not ids:
        raise InputError(f"{beginning}: no row of {paths.CLEAN} or {paths.CURATED}, and no reported picture, begins like this")
    if len(ids) > 1:
        named = ", ".join(ids[:SHOWN])
        raise InputError(
            f"{beginning}: {len(ids):,} rows begin like this: {named}{', …' * (len(ids) > SHOWN)}; give more digits"
        )
    (row_id,) = ids
    return followed(row_id, found.get(row_id), changes.get(row_id), reports.get(row_id))


def followed(row_id: str, row: dict[str, Any] | None, change: dict[str, Any] | None, report: dict[str, Any] | None) -> Trail:
    parts: dict[str, Part] = dict.fromkeys(report["events"] if report else (), "reported")
    if change:
        parts |= dict.fromkeys(change["events"], "removed" if change["removed"] else "label")
    if row:
        parts |= dict.fromkeys(row["events"], "row")
    told = seal.find(paths.FEEDBACK, list(parts))
    drawn = {event.sample for event in told.values() if event.type in ("vote", "report") and event.sample}
    sample = min(drawn, key=repr, default=None)
    liked, weights = judgements(sample)
    told |= seal.find(paths.FEEDBACK, [name for name in weights if name not in told])
    factor, approved = weighted(row_id)
    removed = bool(change and change["removed"])
    label = row["label"] if row else None
    return Trail(
        row_id,
        row,
        change["label"] if change and not removed else label,
        shards.classes(paths.CLEAN) if there(paths.CLEAN) else [],
        row["weight"] * factor if row and row["split"] == "train" and not removed else 0.0,
        approved,
        removed,
        report is not None,
        sample,
        liked,
        sorted(
            (Told(event, parts.get(name, "judged"), weights.get(name)) for name, event in told.items()),
            key=lambda one: (one.event.at, one.event.id),
        ),
        len({*parts, *weights} - told.keys()),
    )


def there(folder: Path) -> bool:
    return any(folder.glob("part-*.parquet"))


def rows(folder: Path, beginning: str) -> Iterator[dict[str, Any]]:
    """Those whose row_ids begin like this, without their images."""
    for batch in shards.read(folder, COLUMNS) if there(folder) else ():
        yield from batch.filter(pc.starts_with(batch["row_id"], beginning)).to_pylist()


def beginning_with(name: str, beginning: str) -> dict[str, dict[str, Any]]:
    """row_id -> its line of one of curated.SCHEMAS that have one, without the image."""
    if not curated.path(paths.CURATED, name).is_file():
        return {}
    table = curated.read_table(paths.CURATED, name)
    table = table.filter(pc.starts_with(table["row_id"], beginning))
    return {line["row_id"]: line for line in table.drop_columns([c for c in ("image",) if c in table.column_names]).to_pylist()}


def judgements(sample: Sample | None) -> tuple[float | None, dict[str, float]]:
    """(liked, id of each vote and choice that counts -> its weight) of what was drawn."""
    if sample is None or not curated.path(paths.CURATED, "samples").is_file():
        return None, {}
    read = partial(curated.read_table, paths.CURATED)
    samples = read("samples").select(["version", "seed", "label", "liked"]).to_pylist()
    numbers = [n for n, one in enumerate(samples) if (one["version"], one["seed"], one["label"]) == key(sample)]
    if not numbers:
        return None, {}
    votes, choices = read("votes"), read("choices")
    votes = votes.filter(pc.equal(votes["sample"], numbers[0]))
    choices = choices.filter(pc.or_(pc.equal(choices["winner"], numbers[0]), pc.equal(choices["loser"], numbers[0])))
    weights = {line["event"]: line["weight"] for line in (*votes.to_pylist(), *choices.to_pylist())}
    return samples[numbers[0]]["liked"], weights


def key(sample: Sample) -> tuple[int, int, int | None]:
    return sample.version, sample.seed, sample.label


def weighted(row_id: str) -> tuple[float, float | None]:
    """(what the row's weight is multiplied by, its approval); (1, None) where rows are not weighted."""
    place = approval.path(paths.APPROVAL)
    if not place.is_file():
        return 1.0, None
    table = pq.read_table(place, schema=approval.WEIGHTS, filters=[("row_id", "=", row_id)])
    return (table["weight"][0].as_py(), table["approval"][0].as_py()) if len(table) else (1.0, None)
