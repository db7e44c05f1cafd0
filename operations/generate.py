"""Generate: images by a registered model, without flagged ones and without those that look like flagged ones."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import grids
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.numbers import SEEDS
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.feedback import all_events
from pipelines.feedback.events import Sample, prompt_fault
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import EventStore
from pipelines.feedback.withheld import WithheldFilter
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params

BATCH = 1024
MAX_BYTES = 2**31  # of the images that are in memory at once
MAX_NAMES = 20  # classes that a message names
TRIES = 20  # rounds of other seeds for withheld images, before we give up


@dataclass(frozen=True)
class Selection:
    """How n images were chosen by what people like. Only `why` is there where that is not known, and they are as they came.

    approval_id: of the model of what people like. approval: (n,) float64, how likely people like each. temperature: of the
    choice. tries: (n,) int, images that were looked at for each. guided: (n,) bool, whether it was chosen; one in ten is shown
    as it came. weights: (n,) float64, how much each stands for, of what the version generates.
    forecast, plain: share of such images that people would like, and of images that are not chosen; None of one rater's taste.
    given_up: of how many images the best of `studio.max_tries` was taken, because none was accepted.
    """

    why: str
    approval_id: str = ""
    temperature: float | None = None
    approval: np.ndarray | None = None
    tries: np.ndarray | None = None
    guided: np.ndarray | None = None
    weights: np.ndarray | None = None
    forecast: float | None = None
    plain: float | None = None
    given_up: int = 0


@dataclass(frozen=True)
class GeneratedImages:
    """images: (n, height, width, channels) uint8. labels: (n,) int32, indices into `classes`; -1 where there is a prompt.
    seeds: (n,) int64. withheld: how many other images were not shown. conditional: whether the model takes labels.
    selection: how they were chosen, None where they were not. prompt: by which they were asked for in place of a class."""

    version: int
    images: np.ndarray
    labels: np.ndarray
    seeds: np.ndarray
    withheld: int
    classes: list[str]
    conditional: bool
    selection: Selection | None = None
    prompt: str | None = None

    def picture(self) -> bytes:
        """PNG of all images, a row for each class."""
        if self.conditional and self.prompt is None:
            return grids.png(grids.by_class(self.images, self.labels, self.classes))
        return grids.png(grids.grid(self.images, columns=min(16, len(self.images))))

    def archive(self) -> bytes:
        """NPZ of images, labels and seeds, with a prompt also of prompts; of guided images also their approval and tries, and
        whether each was chosen."""
        arrays: dict[str, Any] = {"images": self.images, "labels": self.labels, "seeds": self.seeds}
        if self.prompt is not None:
            arrays["prompts"] = np.full(len(self.seeds), self.prompt)
        if (how := self.selection) is not None and how.approval is not None and how.tries is not None:
            arrays |= {"approval": how.approval, "tries": how.tries, "guided": how.guided}
        content = io.BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    def table(self) -> str:
        """CSV: a line for each image, by whose seed and label the version generates it again, and how it was chosen.

        guided: 1, or 0 for an image that is shown as it came.
        """
        lines = ["version,seed,label,guided,approval,tries"]
        for one in self.shown():
            numbers = (*one.sample.key[:2], one.sample.label, int(one.guided), one.approval, one.tries)
            cells = ("" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value) for value in numbers)
            lines.append(",".join(cells))
        return "\n".join(lines) + "\n"

    def samples(self) -> list[Sample]:
        return name_samples(self, self.seeds, self.labels, self.prompt)

    def shown(self) -> list[ShownSample]:
        """The samples, and how each was chosen."""
        how, samples = self.selection, self.samples()
        if how is None or how.approval is None or how.tries is None or how.guided is None or how.weights is None:
            return [ShownSample(sample) for sample in samples]
        columns = (how.guided.tolist(), how.approval.tolist(), how.tries.tolist(), how.weights.tolist())
        return [
            ShownSample(sample, guided, how.approval_id, how.temperature, approval, tries, weight)
            for sample, guided, approval, tries, weight in zip(samples, *columns, strict=True)
        ]


def generate(
    project: Project,
    params: Params,
    registry: Registry,
    count: int,
    label: str | None,
    seed: int,
    version: int | None,
    prompt: str | None = None,
) -> GeneratedImages:
    """Images of `count` seeds from `seed` on. label: a class, by name or index; None for all in turn. prompt: in its place.

    The next seeds after the last one replace what is withheld, in order and with its label, so that equal
    requests give equal images as long as no other image is flagged. GenloopError where too many seeds in a row are withheld.
    What the model cannot generate is an InputError before it is loaded, which takes some seconds.
    """
    check_request(registry.description(version), count, label, prompt)
    sampler = registry.load(version)
    seeds = np.arange(seed, seed + count, dtype=np.int64)
    labels = choose_labels(label, seeds, sampler.classes, sampler.conditional, prompt)
    withheld_filter = SampleFilter(sampler, WithheldFilter.read(project, params), all_events.flagged_samples(project))
    images = sample(sampler, seeds, labels, prompt)
    waiting = np.flatnonzero(withheld_filter.mask(images, seeds, labels, prompt))
    following, withheld = seed + count, len(waiting)
    for _ in range(TRIES):
        if not len(waiting) or following + len(waiting) > SEEDS:
            break
        seeds[waiting] = following + np.arange(len(waiting))
        following += len(waiting)
        images[waiting] = sample(sampler, seeds[waiting], labels[waiting], prompt)
        waiting = waiting[withheld_filter.mask(images[waiting], seeds[waiting], labels[waiting], prompt)]
        withheld += len(waiting)
    if len(waiting):
        raise withheld_error(sampler, withheld, labels[waiting[0]])
    return GeneratedImages(
        sampler.version, images, labels, seeds, withheld, sampler.classes, sampler.conditional, prompt=prompt
    )


def name_samples(model: Any, seeds: np.ndarray, labels: np.ndarray, prompt: str | None) -> list[Sample]:
    """What images of these seeds are called. model: has their `version`, and says whether it is `conditional`."""
    known = labels.tolist() if model.conditional and prompt is None else [None] * len(labels)
    pairs = zip(seeds.tolist(), known, strict=True)
    return [Sample(version=model.version, seed=seed, label=label, prompt=prompt) for seed, label in pairs]


def withheld_error(sampler: Any, withheld: int, label: int) -> GenloopError:
    """label: of an image for which nothing was found that may be shown; -1 where there is a prompt."""
    of_class = f", of the class {sampler.classes[label]}" if sampler.conditional and sampler.classes and label >= 0 else ""
    return GenloopError(
        f"{withheld} images, as this model makes them, are too near to flagged images{of_class}; lower "
        "feedback.report_reach, take another --seed, or train a model that has learned from the reports (`genloop run`)"
    )


def store_samples(project: Project, generated: GeneratedImages) -> bool:
    """Store which samples people will see, so that they can vote on them; False where the database can only be read."""
    if not database.writable(project.database_url):
        return False
    with EventStore.open(project.database_url) as store:
        store.add_samples(generated.shown())
    return True


def choose_labels(
    label: str | None, seeds: np.ndarray, classes: list[str], conditional: bool, prompt: str | None = None
) -> np.ndarray:
    """(n,) int32: the class asked for, else the classes in turn; -1 where there is a prompt."""
    if prompt is not None:
        return np.full(len(seeds), -1, np.int32)
    if label is None:
        return (seeds % max(1, len(classes) if conditional else 1)).astype("int32")
    if not conditional:
        raise InputError("--label: this model takes no labels; leave it out")
    return np.full(len(seeds), class_index(label, classes), np.int32)


def class_index(label: str, classes: list[str]) -> int:
    """The index of a class that is given by its name or its index."""
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    more = f" and {len(classes) - MAX_NAMES:,} more" if len(classes) > MAX_NAMES else ""
    raise InputError(
        f"--label {label}: expected one of {', '.join(classes[:MAX_NAMES])}{more}, or an index below {len(classes)}"
    )


def check_request(description: Mapping[str, Any], count: int, label: str | None, prompt: str | None = None) -> None:
    """Raises InputError for what a model cannot generate, or is too much at once.

    description: what the model's model.json says.
    """
    spec, classes, family = description["spec"], description["classes"], description["family"]
    most = MAX_BYTES // (spec["size"] ** 2 * spec["channels"])
    if count > most:
        raise InputError(f"--count {count}: expected at most {most:,} images of {spec['size']}x{spec['size']} at once")
    if prompt is not None:
        check_prompt(description, label, prompt)
    if label is None:
        return
    known = family not in catalogue.MODELS or catalogue.get(catalogue.MODELS, family).conditional
    if not (known and classes):
        raise InputError("--label: this model takes no labels; leave it out")
    class_index(label, classes)


def check_prompt(description: Mapping[str, Any], label: str | None, prompt: str) -> None:
    if label is not None:
        raise InputError("--prompt: expected either a prompt or a class; leave --label out, or the prompt")
    if not accepts_prompts(description):
        raise InputError(
            "--prompt: this model takes no prompts; leave it out, or take a model whose manifest says `condition: prompts`"
        )
    if fault := prompt_fault(prompt):
        raise InputError(f"--prompt: {fault}")


def accepts_prompts(description: Mapping[str, Any]) -> bool:
    """Whether the model can be asked for what somebody writes. description: as in `check_request`."""
    external = description.get("external")
    return external is not None and external["manifest"].get("condition") == "prompts"


def sample(sampler: Any, seeds: np.ndarray, labels: np.ndarray, prompt: str | None = None) -> np.ndarray:
    """(n, height, width, channels), uint8. labels: only where there is no prompt."""
    batches = []
    with Progress("generate", total=len(seeds), unit="images") as progress:
        for start in range(0, len(seeds), BATCH):
            part = slice(start, start + BATCH)
            if prompt is None:
                batches.append(sampler.draw(seeds[part], labels[part]))
            else:
                batches.append(sampler.draw_prompts(seeds[part], [prompt] * len(seeds[part])))
            progress.advance(len(batches[-1]))
    return np.concatenate(batches)


@dataclass(frozen=True)
class SampleFilter:
    """Which images of one model must not be shown.

    lookalikes: finds images that look like flagged ones, once `curate` has read the reports. flagged: the samples themselves.
    """

    sampler: Any
    lookalikes: WithheldFilter
    flagged: set[Sample]

    def mask(self, images: np.ndarray, seeds: np.ndarray, labels: np.ndarray, prompt: str | None = None) -> np.ndarray:
        """(n,) bool: which of n images must not be shown."""
        alike = self.lookalikes.mask(images)
        if not self.flagged:
            return alike
        return alike | np.array([one in self.flagged for one in name_samples(self.sampler, seeds, labels, prompt)], bool)
