"""The pictures that events speak of, brought to the form of data/clean's rows and measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.core import facts, form, images, parallel
from pipelines.core.facts import Facts
from pipelines.feedback.events import Sample
from pipelines.feedback.sealed import event_images
from pipelines.feedback.sealed.event_images import Picture
from pipelines.settings.schema import Params


def no_facts() -> Facts:
    return np.empty(0, facts.FACT)


@dataclass(frozen=True)
class Look:
    """One picture. Where it is refused, it has only a reason.

    image: PNG of params.image's size and channels; row_id and facts, (1,), are of that.
    came: (1,) facts of the picture as it came.
    """

    refused: str | None
    generation: int
    image: bytes = b""
    row_id: str = ""
    facts: Facts = field(default_factory=no_facts)
    came: Facts = field(default_factory=no_facts)


@dataclass(frozen=True)
class Looks:
    """What was drawn, and what was sent by the sha256 of its bytes."""

    samples: dict[Sample, Look]
    uploads: dict[str, Look]


def read(folder: Path, batches: Iterable[str], params: Params) -> Looks:
    """Each picture once. Of two of one sample, which two machines may have drawn, the same one whatever the order."""
    found = Looks({}, {})
    todo = event_images.portions(event_images.read(folder, batches))
    first = next(todo, [])
    # Small pictures are looked at in less time than it takes to start processes for them.
    workers = 1 if len(first) == event_images.AT_ONCE else None
    for looked in parallel.map_ordered(partial(look_all, params=params), itertools.chain([first], todo), workers):
        for key, look in looked:
            known: dict = found.uploads if isinstance(key, str) else found.samples
            known[key] = min(known.get(key, look), look, key=lambda one: (one.refused is not None, one.row_id))
    return found


def look_all(some: list[Picture], params: Params) -> list[tuple[Sample | str, Look]]:
    limits = images.Limits(**params.ingest.model_dump())
    return [(picture.sample or picture.upload or "", look(picture, limits, params)) for picture in some]


def look(picture: Picture, limits: images.Limits, params: Params) -> Look:
    if picture.image is None:
        return Look("no picture", picture.generation)
    try:
        came = images.decode_png(picture.image, limits if picture.upload else None)
    except images.Refusal as refusal:
        return Look(refusal.reason, picture.generation)
    pixels = form.normalise(came, params)
    row_id, background = images.row_id(pixels), params.image.background
    return Look(
        None,
        picture.generation,
        images.encode_png(pixels),
        row_id,
        facts.of([pixels], [row_id], [-1], background),
        facts.of([came], [images.row_id(came)], [-1], background) if picture.upload else no_facts(),
    )
