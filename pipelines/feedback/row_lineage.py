"""The lineage of a row of the dataset: the events because of which it is there, has its class and its weight, or is removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core import shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.feedback.events import Event, Sample
from pipelines.feedback.sealed import seal
from pipelines.scoring import approval

PREFIX = re.compile("[0-9a-f]{8,64}")  # of a row_id
COLUMNS = ["row_id", "label", "source", "origin", "generation", "weight", "events", "split"]
SHOWN = 5  # rows with the same prefix that a message names

# What an event did: put the row there; judge it; correct its class; remove it; flag it, so that it is not generated again.
Effect = Literal["row", "judged", "label", "removed", "reported"]


@dataclass(frozen=True)
class RowEvent:
    """One event behind a row.

    weight: of a vote or a choice that counts, how much. class_name: of the label that it gives, if names were sealed with it.
    """

    event: Event
    effect: Effect
    weight: float | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class RowLineage:
    """row: its COLUMNS as its shard has them; None of a flagged image that is no row.

    label: the class that counts now. weight: in training; 0 of what is not trained on. approval: probability that people like
    it, where rows are weighted by that. sample: how it was generated; `liked` is the probability that it is right to like it.
    events: oldest first. lost: number of events that are sealed no more, because their rater was forgotten.
    """

    row_id: str
    row: dict[str, Any] | None
    label: int | None
    classes: list[str]
    weight: float
    approval: float | None
    removed: bool
    flagged: bool
    sample: Sample | None
    liked: float | None
    events: list[RowEvent]
    lost: int

    def name(self, label: int | None) -> str | None:
        return self.classes[label] if label is not None and label < len(self.classes) else None


def find(project: Project, prefix: str) -> RowLineage:
    """The lineage of the row or flagged image whose row_id begins with `prefix`; raises InputError unless it is one."""
    digits = prefix.lower()
    if not PREFIX.fullmatch(digits):
        raise InputError(f"{prefix!r}: expected a row_id, or at least its first eight hexadecimal digits")
    found = {row["row_id"]: row for folder in (project.clean, project.curated) for row in rows(folder, digits)}
    reports, changes = (table_rows(project.curated, name, digits) for name in ("reported", "changes"))
    ids = sorted({*found, *reports})
    if not ids:
        clean, added = project.relative(project.clean), project.relative(project.curated)
        raise InputError(f"{prefix}: no row of {clean} or {added}, and no flagged image, begins like this")
    if len(ids) > 1:
        some = ", ".join(ids[:SHOWN])
        raise InputError(f"{prefix}: {len(ids):,} rows begin like this: {some}{', …' * (len(ids) > SHOWN)}; give more digits")
    (row_id,) = ids
    return trace(project, row_id, found.get(row_id), changes.get(row_id), reports.get(row_id))


def trace(
    project: Project, row_id: str, row: dict[str, Any] | None, change: dict[str, Any] | None, report: dict[str, Any] | None
) -> RowLineage:
    """row, change, report: what the shards and two tables of data/curated have of the row."""
    effects: dict[str, Effect] = dict.fromkeys(report["events"] if report else (), "reported")
    if change:
        effects |= dict.fromkeys(change["events"], "removed" if change["removed"] else "label")
    if row:
        effects |= dict.fromkeys(row["events"], "row")
    events = seal.find(project.feedback, list(effects))
    samples = {event.sample for event in events.values() if event.type in ("vote", "report") and event.sample}
    sample = min(samples, key=repr, default=None)
    liked, weights = judgements(project.curated, sample)
    events |= seal.find(project.feedback, [name for name in weights if name not in events])
    names = seal.label_names(project.feedback, list(events))
    factor, approved = approval_weight(project.approval, row_id)
    removed = bool(change and change["removed"])
    label = row["label"] if row else None
    return RowLineage(
        row_id=row_id,
        row=row,
        label=change["label"] if change and not removed else label,
        classes=shards.classes(project.clean) if has_shards(project.clean) else [],
        weight=row["weight"] * factor if row and row["split"] == "train" and not removed else 0.0,
        approval=approved,
        removed=removed,
        flagged=report is not None,
        sample=sample,
        liked=liked,
        events=sorted(
            (
                RowEvent(event, effects.get(name, "judged"), weights.get(name), names.get(name))
                for name, event in events.items()
            ),
            key=lambda one: (one.event.at, one.event.id),
        ),
        lost=len({*effects, *weights} - events.keys()),
    )


def has_shards(folder: Path) -> bool:
    return any(folder.glob("part-*.parquet"))


def rows(folder: Path, prefix: str) -> Iterator[dict[str, Any]]:
    """The rows in the shards of `folder` whose row_id begins with `prefix`, without their images."""
    for batch in shards.read(folder, COLUMNS) if has_shards(folder) else ():
        yield from batch.filter(pc.starts_with(batch["row_id"], prefix)).to_pylist()


def table_rows(folder: Path, name: str, prefix: str) -> dict[str, dict[str, Any]]:
    """row_id -> row of a table of curated.SCHEMAS, without the image."""
    if not curated.path(folder, name).is_file():
        return {}
    table = curated.read_table(folder, name)
    table = table.filter(pc.starts_with(table["row_id"], prefix))
    return {row["row_id"]: row for row in curated.without_images(table)}


def judgements(folder: Path, sample: Sample | None) -> tuple[float | None, dict[str, float]]:
    """(liked, id of each vote and choice that counts -> its weight) of a sample."""
    if sample is None or not curated.path(folder, "samples").is_file():
        return None, {}
    read = partial(curated.read_table, folder)
    key = sample.version, sample.seed, sample.label, sample.prompt
    names = "version", "seed", "version_label", "prompt"
    samples = read("samples").select([*names, "liked"]).to_pylist()
    numbers = [n for n, one in enumerate(samples) if tuple(map(one.get, names)) == key]
    if not numbers:
        return None, {}
    votes, choices = read("votes"), read("choices")
    votes = votes.filter(pc.equal(votes["sample"], numbers[0]))
    choices = choices.filter(pc.or_(pc.equal(choices["winner"], numbers[0]), pc.equal(choices["loser"], numbers[0])))
    weights = {row["event"]: row["weight"] for row in (*votes.to_pylist(), *choices.to_pylist())}
    return samples[numbers[0]]["liked"], weights


def approval_weight(folder: Path, row_id: str) -> tuple[float, float | None]:
    """(what the row's weight is multiplied by, its approval); (1, None) where rows are not weighted."""
    file = approval.weights_file(folder)
    if not file.is_file():
        return 1.0, None
    table = pq.read_table(file, schema=approval.WEIGHTS, filters=[("row_id", "=", row_id)])
    return (table["weight"][0].as_py(), table["approval"][0].as_py()) if len(table) else (1.0, None)
