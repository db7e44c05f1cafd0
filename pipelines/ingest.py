"""ingest: sources -> data/raw. Streams every image, proves that it can be decoded, and keeps it as it came."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.core import files, images, parallel, paths, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.settings.schema import Params
from pipelines.sources import changes
from pipelines.sources.base import Item, Source
from pipelines.stage import main

# Of one chunk, the unit that a worker gets; whichever is reached first.
CHUNK_ROWS = 1024
CHUNK_BYTES = 16 * 2**20


def run(params: Params) -> None:
    limits = images.Limits(**params.ingest.model_dump())
    seen = changes.state(params.sources)  # before anything is read: what comes meanwhile is for the next run
    classes = class_names(params.sources)
    tally = Tally()
    with (
        files.replacing(paths.RAW) as raw,
        files.replacing(paths.QUARANTINE / "ingest") as quarantine,
        shards.Writer(raw, classes=classes) as rows,
        shards.Writer(quarantine, shards.REFUSED) as refused,
        Progress("ingest", total=None, unit="images") as progress,
    ):
        for looked in all_looked_at(params.sources, classes, limits):
            for row in looked:
                (refused if "reason" in row else rows).add(row)
                tally.count(row)
            progress.advance(len(looked))
        if not tally.rows:
            raise InputError(nothing(params.sources, tally))
    content = reports.rows(tally.seen, tally.rows, dict(tally.refused))
    content["sources"] = {name: tally.sources[name] for name in names(params.sources)}
    content["classes"] = {name: tally.labels[label] for label, name in enumerate(classes)}
    content["unlabelled"] = tally.labels[None]
    reports.write("ingest", content)
    changes.record(seen)
    print(f"ingest: {tally.rows:,} rows of {len(classes)} classes in {paths.RAW}, {tally.refused.total():,} refused")


@dataclass
class Tally:
    """How many rows there are, of what source and label, and how many were refused for what reason."""

    rows: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    labels: Counter[int | None] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        return self.rows + self.refused.total()

    def count(self, row: dict[str, Any]) -> None:
        if "reason" in row:
            self.refused[row["reason"]] += 1
        else:
            self.rows += 1
            self.sources[row["source"]] += 1
            self.labels[row["label"]] += 1


def names(sources: list[Source]) -> list[str]:
    """What the column `source` says: the type of each entry and its place in the list."""
    return [f"{source.type}-{place}" for place, source in enumerate(sources)]


def class_names(sources: list[Source]) -> list[str]:
    """Of all sources, in order of their first appearance; the same name is the same class."""
    return list(dict.fromkeys(name for source in sources for name in source.classes()))


@dataclass(frozen=True)
class Job:
    """One image to look at: where it came from, its label among all classes."""

    source: str
    label: int | None
    item: Item


def all_looked_at(sources: list[Source], classes: list[str], limits: images.Limits) -> Iterator[list[dict[str, Any]]]:
    """What `look` says of every image of every source, in their order."""
    for name, source in zip(names(sources), sources, strict=True):
        todo = chunks(name, source, classes)
        first = next(todo, [])
        # An array is looked at in less time than it takes to send it to another process.
        workers = 1 if first and isinstance(first[0].item.image, np.ndarray) else None
        yield from parallel.map_ordered(functools.partial(look, limits), itertools.chain([first], todo), workers)


def chunks(name: str, source: Source, classes: list[str]) -> Iterator[list[Job]]:
    """The images of a source, in lists that bound memory by count and by bytes."""
    labels = [classes.index(own) for own in source.classes()]
    jobs: list[Job] = []
    size = 0
    for item in source.items():
        jobs.append(Job(name, None if item.label is None else labels[item.label], item))
        size += len(item.image) if isinstance(item.image, bytes) else getattr(item.image, "nbytes", 0)
        if len(jobs) == CHUNK_ROWS or size >= CHUNK_BYTES:
            yield jobs
            jobs, size = [], 0
    if jobs:
        yield jobs


def look(limits: images.Limits, jobs: list[Job]) -> list[dict[str, Any]]:
    """A row of `data/raw` for each image, or of the quarantine: those have a reason."""
    return [row(limits, job) for job in jobs]


def row(limits: images.Limits, job: Job) -> dict[str, Any]:
    item = job.item
    try:
        if item.image is None:
            raise images.Refusal(item.refused or "no image")
        encoded, pixels = checked(item.image, limits)
    except images.Refusal as refusal:
        # What is too large to be looked at is too large to be kept; its name says where it is.
        keep = isinstance(item.image, bytes) and len(item.image) <= limits.max_bytes
        kept = {"bytes": item.image if keep else None, "path": item.path}
        return {"image": kept, "source": job.source, "reason": refusal.reason}
    return {
        "image": {"bytes": encoded, "path": item.path if isinstance(item.image, bytes) else None},
        "label": job.label,
        "row_id": images.row_id(pixels),
        "source": job.source,
        "origin": "real",
        "generation": 0,
        "weight": 1.0,
        "events": [],
        "split": None,
    }


def checked(image: bytes | np.ndarray, limits: images.Limits) -> tuple[bytes, np.ndarray]:
    """The encoded image, as it came where it came encoded, and its pixels, (h, w, 1..4) uint8."""
    if isinstance(image, bytes):
        return image, images.decode_png(image, limits)
    images.refuse_large((image.shape[1], image.shape[0]), limits)
    pixels = images.eight_bit(image)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return images.encode_png(pixels), pixels


def nothing(sources: list[Source], tally: Tally) -> str:
    places = [getattr(source, "path", "no path") for source in sources]
    where = ", ".join(f"{name} ({place})" for name, place in zip(names(sources), places, strict=True))
    if not tally.seen:
        return f"no images in {where}"
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in tally.refused.most_common())
    formats = "PNG, JPEG, WebP, BMP, GIF, TIFF and PPM are read"
    return f"none of {tally.seen:,} files is a usable image ({reasons}) in {where}; {formats}"


if __name__ == "__main__":
    main(run)
