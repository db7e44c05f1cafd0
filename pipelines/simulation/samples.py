"""Images that the champion generates for a simulation, and that nobody has seen before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.feedback.events import Sample
from pipelines.registry.client import Registry
from pipelines.simulation.settings import SAMPLES, Simulation

FIRST_SEED = 1_000_000_000  # those of people's samples and of `evaluate` are below
PER_TURN = 100 * SAMPLES  # seeds; those of settings.seed lie in different parts
BATCH = 1024  # images


@dataclass(frozen=True)
class TurnImages:
    """images: (n, size, size, channels) uint8. seeds: (n,) int64.

    labels: (n,) int32, the classes in turn; all 0 where the model knows none, and `classes` is empty.
    """

    version: int
    classes: list[str]
    seeds: np.ndarray
    labels: np.ndarray
    images: np.ndarray

    def samples(self) -> list[Sample]:
        labels = self.labels.tolist() if self.classes else [None] * len(self.labels)
        return [Sample(version=self.version, seed=s, label=label) for s, label in zip(self.seeds.tolist(), labels, strict=True)]


def generate(registry: Registry, settings: Simulation, turn: int, count: int) -> TurnImages:
    """The champion's images for one turn. Turn 0 has no votes: its images are for the judge alone.

    Raises:
        InputError: the taste goes by classes, and the champion cannot be asked for one.
    """
    sampler = registry.load()
    classes = list(sampler.classes) if sampler.conditional else []
    if settings.taste.of_labels and not classes:
        raise InputError(
            f"the taste {settings.taste.name!r} judges an image by the class asked for, and this model knows no classes; "
            "choose another taste"
        )
    seeds = FIRST_SEED + turn * PER_TURN + settings.seed % 100 * SAMPLES + np.arange(count)
    labels = (np.arange(count) % max(1, len(classes))).astype(np.int32)
    images = []
    with Progress("generate", count, "images") as progress:
        for start in range(0, count, BATCH):
            batch = slice(start, start + BATCH)
            images.append(sampler.draw(seeds[batch], labels[batch] if classes else None))
            progress.advance(len(images[-1]))
    return TurnImages(sampler.version, classes, seeds, labels, np.concatenate(images))
