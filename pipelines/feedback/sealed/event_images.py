"""The pictures that sealed events speak of: beside each events-<batch>.parquet an images-<batch>.parquet.

With them the sealed folder needs nobody else: the registry may forget a version, and a sender's file may be gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files, images
from pipelines.core.errors import GenloopError
from pipelines.core.progress import Progress
from pipelines.feedback.events import Choice, Event, Report, Sample, Upload, Vote, load
from pipelines.feedback.sealed import seal, uploads

PREFIX = "images-"
AT_ONCE = 512  # pictures drawn, and written, at a time: bounds the memory,
AT_ONCE_BYTES = 32 * 2**20  # and so does this, for large uploads

SCHEMA = pa.schema(
    [
        ("version", pa.int32()),
        ("seed", pa.int64()),
        ("label", pa.int32()),
        ("upload", pa.string()),
        pa.field("generation", pa.int32(), nullable=False),
        ("image", pa.binary()),
        ("missing", pa.string()),
    ]
)


@dataclass(frozen=True)
class Picture:
    """A drawn sample (version, seed, and label where the model was given one) or an upload (sha256 of its bytes).

    generation: 1 + that of the version that drew it; 0 of uploads, and where there is no image.
    image: PNG as it was drawn, or the upload as it came. None where there is none, and `missing` says why.
    """

    version: int | None
    seed: int | None
    label: int | None
    upload: str | None
    generation: int
    image: bytes | None
    missing: str | None

    @property
    def sample(self) -> Sample | None:
        if self.version is None or self.seed is None:
            return None
        return Sample(version=self.version, seed=self.seed, label=self.label)


class Unknown(Exception):  # noqa: N818  (no mistake of ours)
    """There is no such version, and there will be none; its text says so."""


class Drawer(Protocol):
    """A version, ready to draw. generation: its own, 0 where it has learned from real images alone."""

    classes: list[str]
    conditional: bool
    generation: int

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...


Draw = Callable[[int], Drawer]  # raises Unknown where the registry answers that it has no such version


def path(folder: Path, batch: str) -> Path:
    return folder / f"{PREFIX}{batch}.parquet"


def complete(folder: Path, draw: Draw) -> list[str]:
    """Write the pictures of each sealed file that has none yet, whole or not at all; the batches that this was done for.

    What cannot be had is written down as missing. `draw` is not called where there is nothing to draw.

    Raises:
        GenloopError: the registry, or the folder of uploads, is not there to be asked. What was done until then stays.
    """
    done = []
    for sealed in seal.sealed(folder):
        batch, _ = seal.about(sealed)
        if not path(folder, batch).is_file():
            with seal.reading(sealed) as file:
                samples, sent = named(map(load, file.read(["body"])["body"].to_pylist()))
            write(folder, batch, chain(drawn(samples, draw), map(received, sent)))
            done.append(batch)
    return done


def read(folder: Path, batches: Iterable[str]) -> Iterator[Picture]:
    """The pictures of these batches, one after the other.

    Raises:
        GenloopError: a file is missing or damaged.
    """
    for batch in batches:
        with seal.reading(path(folder, batch)) as file:
            for part in file.iter_batches(AT_ONCE):
                yield from (Picture(**row) for row in part.to_pylist())


def keep(folder: Path, batch: str, events: Iterable[Event]) -> bool:
    """Leave out of a batch's pictures those that none of these events speaks of; whether there were such."""
    samples, sent = (set(some) for some in named(events))

    def spoken_of(picture: Picture) -> bool:
        return picture.sample in samples or picture.upload in sent

    if all(map(spoken_of, read(folder, [batch]))):
        return False
    write(folder, batch, filter(spoken_of, read(folder, [batch])))
    return True


def write(folder: Path, batch: str, pictures: Iterable[Picture]) -> None:
    """images-<batch>.parquet, whole or not at all; `pictures` are taken as they are written."""
    target = path(folder, batch)
    temporary = target.with_name(f".{target.name}.partial")
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as file:
            for some in portions(pictures):
                file.write_table(pa.Table.from_pylist([asdict(picture) for picture in some], schema=SCHEMA))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
        files.sync(folder)
    finally:
        temporary.unlink(missing_ok=True)


def portions(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    some: list[Picture] = []
    size = 0
    for picture in pictures:
        some.append(picture)
        size += len(picture.image or b"")
        if len(some) == AT_ONCE or size >= AT_ONCE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def named(events: Iterable[Event]) -> tuple[list[Sample], list[str]]:
    """Samples and uploads (sha256) that the events speak of, each once, sorted."""
    samples: set[Sample] = set()
    sent: set[str] = set()
    for event in events:
        if isinstance(event, Choice):
            samples |= {event.winner, event.loser}
        elif isinstance(event, Upload):
            sent.add(event.image)
        elif isinstance(event, Vote | Report) and event.sample:
            samples.add(event.sample)
    return sorted(samples, key=order), sorted(sent)


def order(sample: Sample) -> tuple[int, bool, int, int]:
    """By version, and within it those with a label apart from those without: so they are drawn."""
    return sample.version, sample.label is None, sample.label or 0, sample.seed


def drawn(samples: list[Sample], draw: Draw) -> Iterator[Picture]:
    """A picture of each sample, in their order; each version is loaded once."""
    with Progress("draw", total=len(samples), unit="pictures") as progress:
        for version, of_version in groupby(samples, lambda sample: sample.version):
            every = list(of_version)
            try:
                drawer = draw(version)
            except Unknown as unknown:
                yield from (lacking(sample, str(unknown)) for sample in every)
            else:
                for with_label, group in groupby(every, lambda sample: sample.label is not None):
                    yield from by_one(list(group), with_label, drawer, progress)


def by_one(samples: list[Sample], with_labels: bool, drawer: Drawer, progress: Progress) -> Iterator[Picture]:
    """Of samples of one version that all have labels, or all have none (it goes through its classes by turns then)."""
    classes = len(drawer.classes) if drawer.conditional else 1
    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        fit = [sample for sample in some if (sample.label or 0) < classes]
        seeds = np.array([sample.seed for sample in fit], np.int64)
        labels = np.array([sample.label for sample in fit], np.int32) if with_labels else None
        pixels = iter(drawer.draw(seeds, labels) if fit else ())
        for sample in some:
            if (sample.label or 0) < classes:
                image = images.encode_png(next(pixels))
                yield Picture(sample.version, sample.seed, sample.label, None, drawer.generation + 1, image, None)
            else:
                knows = f"{classes} classes" if drawer.conditional else "no classes"
                yield lacking(sample, f"version {sample.version} knows {knows}, and no label {sample.label}")
        progress.advance(len(some))


def lacking(sample: Sample, why: str) -> Picture:
    return Picture(sample.version, sample.seed, sample.label, None, 0, None, why)


def received(digest: str) -> Picture:
    """An upload. One file that is lost must not stop all folds to come; a folder that is not there may be only elsewhere."""
    if not uploads.FOLDER.is_dir():
        raise GenloopError(
            f"{uploads.FOLDER}: events hold images that people sent, but this folder is not there; bring it here "
            "from where they were received, or from a backup, and fold again"
        )
    try:
        return Picture(None, None, None, digest, 0, uploads.read(digest), None)
    except GenloopError as error:
        return Picture(None, None, None, digest, 0, None, str(error))
