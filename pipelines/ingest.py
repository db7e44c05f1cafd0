"""ingest: sources -> data/raw. Streams every image, proves that it can be decoded, and keeps it as it came."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from pipelines.core import files, images, parallel, png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.settings.schema import Params
from pipelines.sources import changes
from pipelines.sources.base import Item, Source, Split, SplitSource, TestRows, listed
from pipelines.stage import main

# The most in one chunk, the unit that a worker gets; whichever is reached first.
CHUNK_ROWS = 1024
CHUNK_BYTES = 16 * 2**20

HELD_OUT: tuple[Split, ...] = ("test", "validation")
MOST_COUNTED = 12  # classes in one line, with their rows

# What to do about images that are refused, where it is known.
REMEDIES = {
    "git-lfs pointer": "`git lfs pull` puts the files themselves there",
    "archive": "unpack it, into a subfolder for each class or none",
}


def run(project: Project, params: Params) -> None:
    limits = images.Limits(**params.ingest.model_dump())
    states = changes.state(project, params.sources)  # before anything is read, so that the next run sees what comes meanwhile
    sources = [source.at(project.root) for source in params.sources]
    classes_of = [source.classes() for source in sources]
    classes = joined(classes_of)
    tally = Tally()
    with (
        files.replacement(project.raw) as raw,
        files.replacement(project.quarantine / "ingest") as quarantine,
    ):
        with (
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
        # Only now is it known which classes have rows.
        used = [label for label in range(len(classes)) if tally.labels[label]]
        if len(used) < len(classes):
            places = {label: place for place, label in enumerate(used)}
            shards.relabel(raw, list(map(places.get, range(len(classes)))), [classes[label] for label in used])
        content = report(sources, classes, tally)
        content["notes"] += numbers_and_names(source_names(sources), classes_of) + differ_by_case(content["classes"])
    reports.write(project.reports, "ingest", content)
    changes.record(project, states)
    show(project, content)


@dataclass
class Tally:
    """Numbers of rows by source, label and split of the source, and of refused images by reason."""

    rows: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    labels: Counter[int | None] = field(default_factory=Counter)
    splits: Counter[tuple[str, str]] = field(default_factory=Counter)  # by source and split
    refused: Counter[str] = field(default_factory=Counter)
    more_frames: Counter[str] = field(default_factory=Counter)  # images with more than one, by source

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
            self.more_frames[row["source"]] += row["more_frames"]
            if row["source_split"]:
                self.splits[row["source"], row["source_split"]] += 1


def report(sources: list[Source], classes: list[str], tally: Tally) -> dict[str, Any]:
    """The content of ingest.json."""
    names = source_names(sources)
    sentences = [
        [f"{name}: {sentence}" for name, source in zip(names, sources, strict=True) for sentence in getattr(source, part)()]
        for part in ("notes", "not_read")
    ]
    return {
        **reports.row_counts(tally.total, tally.rows, dict(tally.refused)),
        "left_out": dict(sum((Counter(source.left_out()) for source in sources), Counter[str]())),
        "sources": {name: tally.sources[name] for name in names},
        "classes": {name: tally.labels[label] for label, name in enumerate(classes) if tally.labels[label]},
        "empty_classes": [name for label, name in enumerate(classes) if not tally.labels[label]],
        "unlabelled": tally.labels[None],
        "source_splits": {
            split: count
            for split in get_args(Split)
            if (count := sum(number for (_, other), number in tally.splits.items() if other == split))
        },
        "notes": [*sentences[0], *idle_settings(sources, tally)],
        "not_read": [*sentences[1], *frames_not_read(tally)],
    }


def numbers_and_names(names: list[str], classes_of: list[list[str]]) -> list[str]:
    """A sentence where some sources have numbers for classes and others names: they are joined by name alone."""
    labelled = [(name, classes) for name, classes in zip(names, classes_of, strict=True) if classes]
    numbered = [name for name, classes in labelled if all(map(str.isdecimal, classes))]
    named = [name for name, classes in labelled if not any(map(str.isdecimal, classes))]
    if not (numbered and named):
        return []
    return [
        f"the classes of {', '.join(numbered)} are numbers and those of {', '.join(named)} are names: none of them are the "
        "same; give all sources names, or all numbers, if they should be"
    ]


def differ_by_case(classes: Iterable[str]) -> list[str]:
    """A sentence where names of classes differ by the case of letters alone."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(name.casefold(), []).append(name)
    groups = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    return [f"the classes {listed(groups)} differ by case alone; rename one if they are the same"] if groups else []


def frames_not_read(tally: Tally) -> list[str]:
    return [
        f"{name}: not read: all but the first frame or page of {count:,} images; save each as a file of its own to have it"
        for name, count in tally.more_frames.items()
        if count
    ]


def idle_settings(sources: list[Source], tally: Tally) -> list[str]:
    """A sentence for each source whose setting `test` has nothing to act on."""
    return [
        f"{name}: `test: holdout` holds nothing out, because no row is of a test or validation split; without the setting, "
        "clean.holdout does"
        for name, source in zip(source_names(sources), sources, strict=True)
        if isinstance(source, SplitSource)
        and source.test == "holdout"
        and not any(tally.splits[name, split] for split in HELD_OUT)
    ]


def show(project: Project, content: dict[str, Any]) -> None:
    """What the report says, in a few lines."""
    classes, refused = content["classes"], content["refused"]
    of_classes = f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}"
    where = project.relative(project.raw)
    print(f"ingest: {content['rows_out']:,} rows of {of_classes} in {where}, {sum(refused.values()):,} refused")
    if 0 < len(classes) <= MOST_COUNTED:
        unlabelled = {"without a label": content["unlabelled"]} if content["unlabelled"] else {}
        print(f"ingest: {counts({**classes, **unlabelled})}")
    if splits := content["source_splits"]:
        print(f"ingest: splits of the sources: {counts(splits)}")
    for reason, count in refused.items():
        print(f"ingest: {count:,} refused: {with_remedy(reason)}")
    if content["left_out"]:
        print(f"ingest: left out, because they are no data: {counts(content['left_out'])}")
    if empty := content["empty_classes"]:
        print(f"ingest: no usable rows, so no class: {listed([*map(repr, empty)])}")
    for sentence in [*content["notes"], *content["not_read"]]:
        print(f"ingest: {sentence}")


def counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in numbers.items())


def with_remedy(reason: str) -> str:
    return f"{reason}; {REMEDIES[reason]}" if reason in REMEDIES else reason


def source_names(sources: list[Source]) -> list[str]:
    """The values of the column `source`: the type of each entry and its place in the list."""
    return [f"{source.type}-{place}" for place, source in enumerate(sources)]


def joined(classes_of: list[list[str]]) -> list[str]:
    """The classes of all sources, in order of their first appearance; the same name is the same class."""
    return list(dict.fromkeys(name for classes in classes_of for name in classes))


def all_rows(sources: list[Source], classes: list[str], limits: images.Limits) -> Iterator[list[dict[str, Any]]]:
    """The rows that `make_rows` makes of all images of all sources, in their order."""
    for name, source in zip(source_names(sources), sources, strict=True):
        labels = [classes.index(own) for own in source.classes()]
        chunks = parallel.batches(source.items(), Item.size, CHUNK_ROWS, CHUNK_BYTES)
        first = next(chunks, [])
        # An array is checked in less time than it takes to send it to another process.
        workers = 1 if first and isinstance(first[0].image, np.ndarray) else None
        test = source.test if isinstance(source, SplitSource) else "rows"
        work = functools.partial(make_rows, limits, name, labels, test)
        yield from parallel.map_ordered(work, itertools.chain([first], chunks), workers)


def make_rows(limits: images.Limits, source: str, labels: list[int], test: TestRows, chunk: list[Item]) -> list[dict[str, Any]]:
    """A row of `data/raw` for each image, or one of the quarantine, which has a reason.

    source: its name. labels: places of the source's classes among all of them. test: the source's setting.
    """
    return [make_row(limits, source, None if item.label is None else labels[item.label], test, item) for item in chunk]


def make_row(limits: images.Limits, source: str, label: int | None, test: TestRows, item: Item) -> dict[str, Any]:
    encoded = item.image if isinstance(item.image, bytes) else None
    held_out = item.split in HELD_OUT
    if held_out and test == "leave_out" and item.image is not None:
        # Whether it could be read does not matter, and the source has it.
        return {"image": {"bytes": None, "path": item.path}, "source": source, "reason": f"{item.split} split left out"}
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
        "split": ("holdout" if held_out else "train") if test == "holdout" else None,
        "source_split": item.split,
        "more_frames": encoded is not None and images.has_more_frames(encoded),  # for the report, in no column
    }


def no_rows(sources: list[Source], tally: Tally) -> str:
    places = [getattr(source, "path", "no path") for source in sources]
    where = ", ".join(f"{name} ({place})" for name, place in zip(source_names(sources), places, strict=True))
    if not tally.total:
        return f"no images in {where}"
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in tally.refused.most_common())
    remedies = "".join(f"; {with_remedy(reason)}" for reason in tally.refused if reason in REMEDIES)
    others = "".join(f"; {sentence}" for source in sources for sentence in source.not_read())
    formats = "PNG, JPEG, WebP, BMP, GIF, TIFF and PPM are read"
    return f"none of {tally.total:,} files is a usable image ({reasons}) in {where}; {formats}{remedies}{others}"


if __name__ == "__main__":
    main(run)
