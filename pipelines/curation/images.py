"""The images of sealed events, brought to the form of data/clean's rows and measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.core import facts, images, parallel, png
from pipelines.core.facts import Facts
from pipelines.core.form import Form
from pipelines.core.images import Limits
from pipelines.curation.events import NO_PICTURE, TWO_MODELS
from pipelines.feedback.events import Sample
from pipelines.feedback.sealed import event_images
from pipelines.feedback.sealed.event_images import EventImage

no_facts = partial(np.empty, 0, facts.FACT)


@dataclass(frozen=True)
class MeasuredImage:
    """An image of an event; where it is rejected, only the reason.

    content: PNG in the form of the rows; row_id and facts, (1,), are of that.
    original: (1,) facts of an upload as it came. class_name, identity: of a generated image, see EventImage.
    """

    generation: int
    rejection: str | None = None
    content: bytes = b""
    row_id: str = ""
    facts: Facts = field(default_factory=no_facts)
    original: Facts = field(default_factory=no_facts)
    class_name: str | None = None
    identity: str | None = None


MeasuredImages = dict[Sample | str, MeasuredImage]  # generated images by their samples, uploads by the sha256 of their bytes


def read(folder: Path, batches: Iterable[str], limits: Limits, form: Form) -> MeasuredImages:
    """Each image once, in this form; the limits are those of uploads.

    Of two images of one sample, which two machines may have generated, it is the same one whatever the order. Where two models
    generated them, nobody knows which one an event is about, and the sample has none.
    """
    found: MeasuredImages = {}
    identities: dict[Sample | str, set[str]] = {}
    portions = event_images.portions(event_images.read(folder, batches))
    first = next(portions, [])
    # Few images are measured in less time than it takes to start processes for them.
    workers = 1 if len(first) == event_images.AT_ONCE else None
    measure_portion = partial(measure_all, limits=limits, form=form)
    for measured in parallel.map_ordered(measure_portion, itertools.chain([first], portions), workers):
        for key, image in measured:
            found[key] = min(found.get(key, image), image, key=preference)
            if image.identity:
                identities.setdefault(key, set()).add(image.identity)
    ambiguous = {key: MeasuredImage(found[key].generation, TWO_MODELS) for key, models in identities.items() if len(models) > 1}
    return found | ambiguous


def preference(image: MeasuredImage) -> tuple[bool, bool, str]:
    """The least of two images of one sample is taken: one that is usable, and whose class has a name."""
    return image.rejection is not None, image.class_name is None, image.row_id


def measure_all(portion: list[EventImage], limits: Limits, form: Form) -> list[tuple[Sample | str, MeasuredImage]]:
    return [(one.sample or one.upload or "", measure(one, limits, form)) for one in portion]


def measure(sealed: EventImage, limits: Limits, form: Form) -> MeasuredImage:
    if sealed.image is None:
        return MeasuredImage(sealed.generation, NO_PICTURE)
    try:
        original = images.decode_pixels(sealed.image, limits if sealed.upload else None)
    except images.Refusal as refusal:
        return MeasuredImage(sealed.generation, refusal.reason)
    pixels = form.apply(original)
    row_id = images.row_id(pixels)
    measured = facts.measure_images([pixels], [row_id], [-1], form.background)
    image = MeasuredImage(
        sealed.generation,
        None,
        png.encode(pixels),
        row_id,
        measured,
        class_name=sealed.class_name,
        identity=sealed.identity,
    )
    if not sealed.upload:
        return image
    return replace(image, original=facts.measure_images([original], [images.row_id(original)], [-1], form.background))
