"""The images that sealed events are about: beside each events-<batch>.parquet an images-<batch>.parquet.

With them the sealed folder needs no other place: the registry may lose a version, and the file of an upload may be gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files, png
from pipelines.core.errors import GenloopError
from pipelines.core.parallel import batches
from pipelines.core.progress import Progress
from pipelines.feedback.events import Event, Sample, Upload, samples_of
from pipelines.feedback.sealed import seal, uploads
from pipelines.feedback.shown import ShownSample

PREFIX = "images-"
AT_ONCE = 512  # images generated, and written, at a time: bounds the memory,
AT_ONCE_BYTES = 32 * 2**20  # and so does this, for large uploads

SCHEMA = pa.schema(
    [
        ("version", pa.int32()),
        ("seed", pa.int64()),
        ("label", pa.int32()),
        ("class_name", pa.string()),
        ("upload", pa.string()),
        pa.field("generation", pa.int32(), nullable=False),
        ("image", pa.binary()),
        ("missing", pa.string()),
        ("identity", pa.string()),
        ("guided", pa.bool_()),
        ("prompt", pa.string()),
    ]
)


@dataclass(frozen=True)
class EventImage:
    """The image of a sample (version, seed, and the label or the prompt that was given) or of an upload (sha256 of its bytes).

    class_name: of the label, by the version's own classes; None where it knows none, and in files of an older form.
    identity: of the version, what it was made of: in registries that know nothing of each other one number may be two models.
        None where it is not known, and in files of an older form.
    generation: 1 + that of the version; 0 of uploads, and where there is no image.
    guided: whether a sample was shown because it was chosen by what people like; None where that is not known, and in files of
        an older form.
    prompt: None of samples without one, and in files of an older form.
    image: PNG of a sample, or the upload as it came. None where there is none, and `missing` says why.
    """

    version: int | None = None
    seed: int | None = None
    label: int | None = None
    upload: str | None = None
    generation: int = 0
    image: bytes | None = None
    missing: str | None = None
    class_name: str | None = None
    identity: str | None = None
    guided: bool | None = None
    prompt: str | None = None

    @property
    def sample(self) -> Sample | None:
        if self.version is None or self.seed is None:
            return None
        return Sample(version=self.version, seed=self.seed, label=self.label, prompt=self.prompt)


class UnknownVersionError(Exception):
    """Raised where the registry has no such version any more; the message says so."""


class VersionSampler(Protocol):
    """A version that can generate.

    generation: its own, 0 where it has learned from real images alone. identity: see EventImage.
    accepts_prompts: whether it can be asked for what somebody writes.
    """

    classes: list[str]
    conditional: bool
    accepts_prompts: bool
    generation: int
    identity: str | None

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray: ...


LoadVersion = Callable[[int], VersionSampler]  # raises UnknownVersionError where the registry has no such version
FindShown = Callable[[Collection[Sample]], Mapping[Sample, ShownSample]]  # how samples were shown, of those that are known


def images_file(folder: Path, batch: str) -> Path:
    return folder / f"{PREFIX}{batch}.parquet"


def complete(folder: Path, uploads_folder: Path, load_version: LoadVersion, find_shown: FindShown | None = None) -> list[str]:
    """Write the images of each sealed file that has none yet, whole or not at all; the batches that this was done for.

    An image that is lost is written down as missing. `load_version` is not called where there is nothing to generate.
    Raises GenloopError where the registry, or the folder of uploads, cannot be asked. What was done until then stays.
    """
    done = []
    for sealed in seal.sealed_files(folder):
        batch, _ = seal.footer(sealed)
        if not images_file(folder, batch).is_file():
            samples, digests = subjects(seal.events(folder, batch))
            generated = with_choice(sample_images(samples, load_version), find_shown(samples) if find_shown else {})
            write(folder, batch, chain(generated, (upload_image(uploads_folder, digest) for digest in digests)))
            done.append(batch)
    return done


def read(folder: Path, batches: Iterable[str]) -> Iterator[EventImage]:
    """The images of these batches, one after the other; raises GenloopError where a file is missing or damaged."""
    for batch in batches:
        with seal.open_file(images_file(folder, batch)) as file:
            for part in file.iter_batches(AT_ONCE):
                yield from (EventImage(**row) for row in part.to_pylist())


def guided(folder: Path, batch: str) -> set[Sample]:
    """The samples of a batch that were chosen by what people like; none where it has no images yet, or they do not tell."""
    path = images_file(folder, batch)
    if not path.is_file():
        return set()
    with seal.open_file(path) as file:
        if "guided" not in file.schema_arrow.names:
            return set()
        present = [name for name in (*Sample.model_fields, "guided") if name in file.schema_arrow.names]
        rows = file.read(present).to_pylist()
    return {Sample(**row) for row in rows if row.pop("guided")}


def prune(folder: Path, batch: str, events: Iterable[Event]) -> bool:
    """Remove those of a batch's images that none of these events is about; whether there were such."""
    samples, digests = (set(some) for some in subjects(events))

    def needed(image: EventImage) -> bool:
        return image.sample in samples or image.upload in digests

    if all(map(needed, read(folder, [batch]))):
        return False
    write(folder, batch, filter(needed, read(folder, [batch])))
    return True


def write(folder: Path, batch: str, images: Iterable[EventImage]) -> None:
    """images-<batch>.parquet, whole or not at all; `images` are taken as they are written."""
    target = images_file(folder, batch)
    temporary = target.with_name(f".{target.name}.partial")
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as file:
            for some in portions(images):
                file.write_table(pa.Table.from_pylist([asdict(image) for image in some], schema=SCHEMA))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
        files.sync(folder)
    finally:
        temporary.unlink(missing_ok=True)


def portions(images: Iterable[EventImage]) -> Iterator[list[EventImage]]:
    return batches(images, lambda image: len(image.image or b""), AT_ONCE, AT_ONCE_BYTES)


def subjects(events: Iterable[Event]) -> tuple[list[Sample], list[str]]:
    """Samples and uploads (sha256) that the events are about, each once, in the order in which they are written."""
    samples: set[Sample] = set()
    digests: set[str] = set()
    for event in events:
        samples |= set(samples_of(event))
        if isinstance(event, Upload):
            digests.add(event.image)
    return sorted(samples, key=order), sorted(digests)


def order(sample: Sample) -> tuple[int, bool, bool, int, str, int]:
    """By version, and within it those with a label, those without, and those with a prompt apart, because a call has either."""
    return (*kind(sample), sample.label or 0, sample.prompt or "", sample.seed)


def kind(sample: Sample) -> tuple[int, bool, bool]:
    return sample.version, sample.label is None, sample.prompt is not None


def sample_images(samples: list[Sample], load_version: LoadVersion) -> Iterator[EventImage]:
    """An image of each sample, in their order; each version is loaded once."""
    with Progress("generate", total=len(samples), unit="images") as progress:
        for version, of_version in groupby(samples, lambda sample: sample.version):
            own = list(of_version)
            try:
                sampler = load_version(version)
            except UnknownVersionError as unknown:
                yield from (EventImage(**sample.model_dump(), missing=str(unknown)) for sample in own)
            else:
                try:
                    for (_, without_labels, with_prompts), group in groupby(own, kind):
                        if with_prompts:
                            yield from prompt_images(list(group), sampler, progress)
                        else:
                            yield from version_images(list(group), not without_labels, sampler, progress)
                except GenloopError as error:  # of its own process
                    raise GenloopError(
                        f"version {version} is registered, but generates no images ({error}); the events are sealed, and the "
                        "next fold generates their images; if the version is gone for good, delete it from the registry"
                    ) from error


def with_choice(generated: Iterable[EventImage], shown: Mapping[Sample, ShownSample]) -> Iterator[EventImage]:
    """The images, with how each was chosen to be shown."""
    for image in generated:
        how = shown.get(image.sample) if image.sample else None
        yield image if how is None else replace(image, guided=how.guided)


def version_images(
    samples: list[Sample], with_labels: bool, sampler: VersionSampler, progress: Progress
) -> Iterator[EventImage]:
    """Images of one version's samples, which all have labels, or all have none (it goes through its classes by turns then)."""
    classes = len(sampler.classes) if sampler.conditional else 1
    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        fit = [sample for sample in some if (sample.label or 0) < classes]
        seeds = np.array([sample.seed for sample in fit], np.int64)
        labels = np.array([sample.label for sample in fit], np.int32) if with_labels else None
        pixels = iter(sampler.draw(seeds, labels) if fit else ())
        for sample in some:
            if (sample.label or 0) < classes:
                image = png.encode(next(pixels))
                named = sampler.conditional and sample.label is not None
                name = sampler.classes[sample.label or 0] if named else None
                yield generated_image(sample, image, sampler, name)
            else:
                knows = f"{classes} classes" if sampler.conditional else "no classes"
                reason = f"version {sample.version} knows {knows}, and no label {sample.label}"
                yield EventImage(**sample.model_dump(), missing=reason)
        progress.advance(len(some))


def prompt_images(samples: list[Sample], sampler: VersionSampler, progress: Progress) -> Iterator[EventImage]:
    """Images of one version's samples, which all have prompts."""
    for start in range(0, len(samples), AT_ONCE):
        some = samples[start : start + AT_ONCE]
        if sampler.accepts_prompts:
            seeds = np.array([sample.seed for sample in some], np.int64)
            pixels = sampler.draw_prompts(seeds, [sample.prompt or "" for sample in some])
            for sample, image in zip(some, pixels, strict=True):
                yield generated_image(sample, png.encode(image), sampler)
        else:
            reason = f"version {some[0].version} takes no prompts"
            yield from (EventImage(**sample.model_dump(), missing=reason) for sample in some)
        progress.advance(len(some))


def generated_image(sample: Sample, image: bytes, sampler: VersionSampler, class_name: str | None = None) -> EventImage:
    return EventImage(
        **sample.model_dump(),
        generation=sampler.generation + 1,
        image=image,
        class_name=class_name,
        identity=sampler.identity,
    )


def upload_image(folder: Path, digest: str) -> EventImage:
    """An upload. One file that is lost must not stop all folds to come; a missing folder may only be elsewhere."""
    if not folder.is_dir():
        raise GenloopError(
            f"{folder}: events hold images that people sent, but this folder does not exist; bring it here "
            "from where they were received, or from a backup, and fold again"
        )
    try:
        return EventImage(upload=digest, image=uploads.read(folder, digest))
    except GenloopError as error:
        return EventImage(upload=digest, missing=str(error))
