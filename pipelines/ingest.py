"""ingest: sources -> data/raw. Streams every image, proves that it can be decoded, and keeps it as it came."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.core import files, images, parallel, png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.settings.schema import Params
from pipelines.sources import changes
from pipelines.sources.base import Item, Source
from pipelines.stage import main

# The most in one chunk, the unit that a worker gets; whichever is reached first.
CHUNK_ROWS = 1024
CHUNK_BYTES = 16 * 2**20


def run(project: Project, params: Params) -> None:
    limits = images.Limits(**params.ingest.model_dump())
    states = changes.state(project, params.sources)  # before anything is read, so that the next run sees what comes meanwhile
    sources = [source.at(project.root) for source in params.sources]
    classes = class_names(sources)
    tally = Tally()
    with (
        files.replacement(project.raw) as raw,
        files.replacement(project.quarantine / "ingest") as quarantine,
        shards.ShardWriter(raw, classes=classes) as rows,
        shards.ShardWriter(quarantine, shards.QUARANTINED) as refused,
        Progress("ingest", total=None, unit="images") as progress,
    ):
        for chunk in all_rows(sources, classes, limits):
            for row in chunk:
                (refused if "reason" in row else rows).add(row)
                tally.count(row)
            progress.advance(len(chunk))
        if not tally.rows:
            raise InputError(no_rows(sources, tally))
    content = reports.row_counts(tally.total, tally.rows, dict(tally.refused))
    content["sources"] = {name: tally.sources[name] for name in source_names(sources)}
    content["classes"] = {name: tally.labels[label] for label, name in enumerate(classes)}
    content["unlabelled"] = tally.labels[None]
    reports.write(project.reports, "ingest", content)
    changes.record(project, states)
    where = project.relative(project.raw)
    print(f"ingest: {tally.rows:,} rows of {len(classes)} classes in {where}, {tally.refused.total():,} refused")


@dataclass
class Tally:
    """Numbers of rows by source and label, and of refused images by reason."""

    rows: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    labels: Counter[int | None] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.rows + self.refused.total()

    def count(self, row: dict[str, Any]) -> None:
        if "reason" in row:
            self.refused[row["reason"]] += 1
        else:
            self.rows += 1
            self.sources[row["source"]] += 1
            self.labels[row["label"]] += 1


def source_names(sources: list[Source]) -> list[str]:
    """The values of the column `source`: the type of each entry and its place in the list."""
    return [f"{source.type}-{place}" for place, source in enumerate(sources)]


def class_names(sources: list[Source]) -> list[str]:
    """The classes of all sources, in order of their first appearance; the same name is the same class."""
    return list(dict.fromkeys(name for source in sources for name in source.classes()))


def all_rows(sources: list[Source], classes: list[str], limits: images.Limits) -> Iterator[list[dict[str, Any]]]:
    """The rows that `make_rows` makes of all images of all sources, in their order."""
    for name, source in zip(source_names(sources), sources, strict=True):
        labels = [classes.index(own) for own in source.classes()]
        chunks = parallel.batches(source.items(), Item.size, CHUNK_ROWS, CHUNK_BYTES)
        first = next(chunks, [])
        # An array is checked in less time than it takes to send it to another process.
        workers = 1 if first and isinstance(first[0].image, np.ndarray) else None
        work = functools.partial(make_rows, limits, name, labels)
        yield from parallel.map_ordered(work, itertools.chain([first], chunks), workers)


def make_rows(limits: images.Limits, source: str, labels: list[int], chunk: list[Item]) -> list[dict[str, Any]]:
    """A row of `data/raw` for each image, or one of the quarantine, which has a reason.

    source: its name. labels: places of the source's classes among all of them.
    """
    return [make_row(limits, source, None if item.label is None else labels[item.label], item) for item in chunk]


def make_row(limits: images.Limits, source: str, label: int | None, item: Item) -> dict[str, Any]:
    encoded = item.image if isinstance(item.image, bytes) else None
    try:
        pixels = images.check_pixels(item.image, limits, item.refused)
    except images.Refusal as refusal:
        # An image that is too large to be decoded is too large to be kept; its name says where it is.
        small = encoded is not None and len(encoded) <= limits.max_bytes
        image = {"bytes": encoded if small else None, "path": item.path}
        return {"image": image, "source": source, "reason": refusal.reason}
    return {
        "image": {"bytes": encoded or png.encode(pixels), "path": item.path if encoded else None},
        "label": label,
        "row_id": images.row_id(pixels),
        "source": source,
        "origin": "real",
        "generation": 0,
        "weight": 1.0,
        "events": [],
        "split": None,
    }


def no_rows(sources: list[Source], tally: Tally) -> str:
    places = [getattr(source, "path", "no path") for source in sources]
    where = ", ".join(f"{name} ({place})" for name, place in zip(source_names(sources), places, strict=True))
    if not tally.total:
        return f"no images in {where}"
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in tally.refused.most_common())
    formats = "PNG, JPEG, WebP, BMP, GIF, TIFF and PPM are read"
    return f"none of {tally.total:,} files is a usable image ({reasons}) in {where}; {formats}"


if __name__ == "__main__":
    main(run)
