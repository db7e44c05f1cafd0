"""Drift of what comes in: of images that people upload, and of rows that sources have brought since rows were last compared.

It is measured at the end of a run in which something changed, in a process of its own, and kept in logs/measurements. Uploads
are those that are rows and those that still wait for a fold or for `curate`; the newest, because they show a change in what
people send. New rows are those that no earlier measurement knew; where the extractor learns from the data, those alone that it
has not learned from, because its own rows are unlike all others. They wait until there are enough of them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core import backend, files, images, shards, timestamps
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.images import Limits, Refusal
from pipelines.core.project import Project
from pipelines.core.rows import stack
from pipelines.features.base import Features
from pipelines.feedback import curated
from pipelines.feedback.events import Event, Upload
from pipelines.feedback.sealed import seal, uploads
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import EventStore
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark, drift
from pipelines.scoring.drift import Drift, DriftKind, DriftReport
from pipelines.settings.schema import Params

NEWEST = 2_000  # uploads that are compared, where no more are needed
CHUNK_BYTES = 2**26  # of pixels that the extractor gets at once
DIGITS = 16  # of a row_id, its last ones, by which rows are known again

Pixels = np.ndarray  # (height, width, channels) uint8


@dataclass(frozen=True)
class RowLabels:
    """The real rows of data/clean. numbers: (n,) uint64, of their row_ids. labels: (n,) int32, -1 for none."""

    numbers: np.ndarray
    labels: np.ndarray
    classes: list[str]


@dataclass(frozen=True)
class UploadedImages:
    """Uploaded images, oldest first. names: of each. labels: (n,) int32, -1 for none. read: gives the images from a number on,
    one by one, without those that cannot be used."""

    names: list[str]
    labels: np.ndarray
    read: Callable[[int], Iterator[Pixels]]


Measure = Callable[[Project, Params, Benchmark, RowLabels, Drift | None], Drift]  # gets what was measured last


def known_file(project: Project) -> Path:
    """Numbers of the rows that new ones are compared with, (n,) uint64."""
    return drift.report_file(project).with_name("known-rows.npy")


def is_due(project: Project) -> bool:
    """Whether something has changed since it was measured last; where there is no benchmark yet, nothing can be."""
    if not (project.reference / "benchmark.json").is_file():
        return False
    before = drift.read(project)
    return before is None or before.inputs != inputs(project)


def inputs(project: Project) -> str:
    """A fingerprint of all that the measurement goes by; quick, because the names of shards stand for their content."""
    content = hashlib.sha256()
    for folder in (project.clean, project.curated):
        content.update("\n".join([str(folder.name), *sorted(part.name for part in folder.glob("part-*.parquet"))]).encode())
    for path in (project.reference / "benchmark.json", project.curated / "about.json", project.manifest):
        content.update(path.read_bytes() if path.is_file() else b"-")
    if project.uploads.is_dir():
        content.update(str(project.uploads.stat().st_mtime_ns).encode())
    return content.hexdigest()[:32]


def measure(project: Project, params: Params, log: Callable[[str], None] = lambda line: None) -> DriftReport | None:
    """Measure the drift of both kinds, and keep the report; None where there is no benchmark yet.

    log: gets a line for each kind, and one where a kind cannot be measured, whose last figures stay then.

    Raises InputError where data/clean or data/reference is not whole.
    """
    if not (project.reference / "benchmark.json").is_file():
        return None
    fingerprint, before = inputs(project), drift.read(project)
    pinned, real = benchmark.read_pinned(project.reference), read_rows(project.clean)
    last = before.kinds if before else {}
    kinds: dict[DriftKind, Drift] = {}
    measures: dict[DriftKind, Measure] = {"upload": measure_uploads, "ingest": measure_ingested}
    for kind, find in measures.items():
        try:
            kinds[kind] = find(project, params, pinned, real, last.get(kind))
            log(drift.describe(kind, kinds[kind]))
        except GenloopError as error:
            log(f"{drift.NAMES[kind]}: not compared: {error}")
            fingerprint = ""  # so that the next run tries again
            if kind in last:
                kinds[kind] = last[kind]
    report = DriftReport(timestamps.iso(timestamps.now(), "seconds"), pinned.id, fingerprint, kinds)
    drift.write(project, report)
    return report


def read_rows(folder: Path) -> RowLabels:
    numbers, labels = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for batch in shards.read(folder, ["row_id", "label", "origin"]):
        batch = batch.filter(pc.equal(batch["origin"], "real"))
        numbers.append(row_numbers(batch["row_id"].to_pylist()))
        labels.append(batch["label"].fill_null(-1).to_numpy(zero_copy_only=False))
    return RowLabels(np.concatenate(numbers), np.concatenate(labels), shards.classes(folder))


def row_numbers(row_ids: Sequence[str]) -> np.ndarray:
    """(n,) uint64"""
    return np.array([int(row_id[-DIGITS:], 16) for row_id in row_ids], np.uint64)


# Newly ingested rows


def measure_ingested(project: Project, params: Params, pinned: Benchmark, real: RowLabels, last: Drift | None) -> Drift:
    needed = drift.needed_rows(pinned.holdout.vectors.shape[1])
    known = read_known(project)
    if known is None:
        write_known(project, real)
        return Drift(0, 0, needed, why="none yet; rows that come from now on are compared with those that are there")
    new = ~np.isin(real.numbers, known)
    if not new.any():
        return replace(last, waiting=0) if last else Drift(0, 0, needed, why="none since rows were last compared")
    if new.all():
        write_known(project, real)
        return Drift(len(new), 0, needed, why="the whole data set is another one, so there is nothing to compare it with")
    vectors, reference = split_rows(pinned, known)
    counted = drift.share_classes(Drift(int(new.sum()), 0, needed), real.labels[new], real.labels[~new], len(real.classes))
    found = drift.measure(counted, vectors, reference)
    if found.distance is None and last is not None and last.distance is not None:
        return replace(last, waiting=found.rows)  # what is known stays until there are enough new ones
    if found.distance is not None:
        write_known(project, real)
    return replace(found, at=timestamps.iso(timestamps.now(), "seconds"), identity=pinned.id)


def split_rows(pinned: Benchmark, known: np.ndarray) -> tuple[np.ndarray, Benchmark]:
    """(n, d) features of rows that are not known, and that the extractor has not learned from; the benchmark without them."""
    assert pinned.ids is not None
    assert pinned.train is not None
    assert pinned.train_ids is not None
    unseen = np.ones(len(pinned.train_ids), bool) if pinned.learned is None else ~pinned.learned
    held_out = np.isin(row_numbers(pinned.ids.tolist()), known)
    trained = np.isin(row_numbers(pinned.train_ids.tolist()), known)
    vectors = np.concatenate([pinned.holdout.vectors[~held_out], pinned.train.vectors[unseen & ~trained]])
    earlier = replace(
        pinned,
        holdout=Features(pinned.holdout.vectors[held_out], None),
        labels=pinned.labels[held_out],
        train=Features(pinned.train.vectors[unseen & trained], None),
        learned=None,
    )
    return vectors, earlier


def read_known(project: Project) -> np.ndarray | None:
    try:
        found = np.load(known_file(project), allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none yet, or damaged: it begins anew
        return None
    return found if found.dtype == np.uint64 else None


def write_known(project: Project, real: RowLabels) -> None:
    content = io.BytesIO()
    np.save(content, np.sort(real.numbers))
    files.write(known_file(project), content.getvalue())


# Uploads


def measure_uploads(project: Project, params: Params, pinned: Benchmark, real: RowLabels, last: Drift | None) -> Drift:
    needed = drift.needed_rows(pinned.holdout.vectors.shape[1])
    found = find_uploads(project, params, real.classes)
    if not found.names:
        return Drift(0, 0, needed, why="none yet")
    first = max(0, len(found.names) - max(NEWEST, needed))
    compared = "\n".join([pinned.id, *found.names[first:], *map(str, found.labels[first:].tolist())])
    identity = hashlib.sha256(compared.encode()).hexdigest()[:32]
    if last is not None and last.identity == identity:
        return last
    counted = Drift(len(found.names), 0, needed, at=timestamps.iso(timestamps.now(), "seconds"), identity=identity)
    counted = drift.share_classes(counted, found.labels[first:], real.labels, len(real.classes))
    number = len(found.names) - first
    if number < needed:  # an extractor takes long to load
        return replace(counted, compared=number, why=f"too few to compare, {number:,} of {needed:,}")
    return drift.measure(counted, extract(project, params, found.read(first), pinned.holdout.vectors.shape[1]), pinned)


def extract(project: Project, params: Params, pixels: Iterator[Pixels], width: int) -> np.ndarray:
    """(n, width) features. Raises InputError where the benchmark is of images of another form."""
    form = benchmark.read_description(project.reference)["form"]
    if (form["size"], form["channels"]) != (params.image.size, params.image.channels):
        raise InputError("the benchmark is of images of another size or other channels; `genloop run` makes it anew")
    backend.load()
    extractor = benchmark.read_extractor(project.reference)
    at_once = max(1, CHUNK_BYTES // int(np.prod(params.form.shape)))
    found, chunk = [np.zeros((0, width), np.float32)], list[Pixels]()
    for image in pixels:
        chunk.append(image)
        if len(chunk) == at_once:
            found.append(extractor.extract(stack(chunk, project.curated)).vectors)
            chunk = []
    if chunk:
        found.append(extractor.extract(stack(chunk, project.curated)).vectors)
    return np.concatenate(found)


def find_uploads(project: Project, params: Params, classes: Sequence[str]) -> UploadedImages:
    """Uploads that are rows, then those that still wait."""
    names, labels = uploaded_rows(project.curated)
    waiting = waiting_uploads(project)
    sealed_names = seal.label_names(project.feedback, [event.id for event in waiting if event.label is not None])

    def label(event: Upload) -> int:
        if event.id in sealed_names:
            return classes.index(sealed_names[event.id]) if sealed_names[event.id] in classes else -1
        return event.label if event.label is not None and event.label < len(classes) else -1

    def pixels(first: int) -> Iterator[Pixels]:
        yield from row_pixels(project.curated, first)
        yield from waiting_pixels(project, params, waiting[max(0, first - len(names)) :])

    waiting_labels = np.array([label(event) for event in waiting], np.int32)
    return UploadedImages([*names, *(event.image for event in waiting)], np.concatenate([labels, waiting_labels]), pixels)


def uploaded_rows(folder: Path) -> tuple[list[str], np.ndarray]:
    """row_ids and (n,) int32 labels of the rows of data/curated that are uploads; -1 for no label."""
    names, labels = list[str](), [np.zeros(0, np.int32)]
    for batch in read_curated(folder, ["row_id", "label", "origin"]):
        names += batch["row_id"].to_pylist()
        labels.append(batch["label"].fill_null(-1).to_numpy(zero_copy_only=False))
    return names, np.concatenate(labels)


def row_pixels(folder: Path, first: int) -> Iterator[Pixels]:
    """The images of the same rows, from a number on."""
    for batch in read_curated(folder, ["image", "origin"]):
        for png in batch["image"].field("bytes")[first:]:
            yield images.decode_pixels(png.as_py())
        first = max(0, first - len(batch))


def read_curated(folder: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    if any(folder.glob("part-*.parquet")):
        for batch in shards.read(folder, columns):
            yield batch.filter(pc.equal(batch["origin"], "upload"))


def waiting_uploads(project: Project) -> list[Upload]:
    """Uploads that `curate` has not read, sealed or not, each image once, oldest first."""
    about = project.curated / "about.json"
    done = curated.read_summary(project.curated).batches if about.is_file() else []
    found: dict[str, Event] = {}
    if database.reachable(project.database_url):
        with EventStore.open(project.database_url) as store:
            found = {event.id: event for event in store.events_outside("upload", done)}
    for path in seal.sealed_files(project.feedback):
        if seal.footer(path)[0] not in done:
            found |= {event.id: event for event in seal.select(path, "type", ["upload"])}
    ordered = sorted((event for event in found.values() if isinstance(event, Upload)), key=lambda event: (event.at, event.id))
    by_image: dict[str, Upload] = {}
    for event in ordered:
        by_image.setdefault(event.image, event)
    return list(by_image.values())


def waiting_pixels(project: Project, params: Params, waiting: Sequence[Upload]) -> Iterator[Pixels]:
    """Their images in the form of rows; those that are not here, or that `curate` would refuse to decode, are left out."""
    limits = Limits(**params.ingest.model_dump())
    for event in waiting:
        try:
            yield params.form.apply(images.decode_pixels(uploads.read(project.uploads, event.image), limits))
        except (GenloopError, Refusal):
            continue
