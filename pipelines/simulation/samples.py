"""What the champion draws for a simulation: images that nobody has seen before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.core.progress import Progress
from pipelines.feedback.events import Sample
from pipelines.registry import client
from pipelines.settings.schema import Params
from pipelines.simulation.settings import SAMPLES

FIRST = 1_000_000_000  # seed; those of people's samples and of `evaluate` are below
PER_TURN = 100 * SAMPLES  # seeds; those of settings.seed lie in different parts
AT_ONCE = 1024  # images


@dataclass(frozen=True)
class Drawn:
    """images: (n, size, size, channels) uint8. seeds: (n,) int64.

    labels: (n,) int32, the classes in turn; all 0 where the model knows none, which `classes` then says, being empty.
    """

    version: int
    classes: list[str]
    seeds: np.ndarray
    labels: np.ndarray
    images: np.ndarray

    def samples(self) -> list[Sample]:
        labels = self.labels.tolist() if self.classes else [None] * len(self.labels)
        return [Sample(version=self.version, seed=s, label=label) for s, label in zip(self.seeds.tolist(), labels, strict=True)]


def draw(params: Params, seed: int, turn: int, count: int) -> Drawn:
    """By the champion, for one turn of the simulation with `seed`. Turn 0 has no votes: its images are for the judge alone."""
    drawer = client.load(params)
    classes = list(drawer.classes) if drawer.conditional else []
    seeds = FIRST + turn * PER_TURN + seed % 100 * SAMPLES + np.arange(count)
    labels = (np.arange(count) % max(1, len(classes))).astype(np.int32)
    images = []
    with Progress("draw", count, "images") as progress:
        for start in range(0, count, AT_ONCE):
            some = slice(start, start + AT_ONCE)
            images.append(drawer.draw(seeds[some], labels[some] if classes else None))
            progress.advance(len(images[-1]))
    return Drawn(drawer.version, classes, seeds, labels, np.concatenate(images))
