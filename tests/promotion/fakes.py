"""A registry whose versions draw noise of some brightness, and an extractor that sees it coarsely: real code in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.promotion.decisions import Contest
from pipelines.registry.versions import Version
from pipelines.scoring import benchmark, generated, views
from pipelines.scoring.generated import GeneratedSamples
from tests.support.fake_registry import FakeRegistry

SIDE, CLASSES, FIRST = 8, ["a", "b"], 1000


def pixels(seeds: Sequence[int] | np.ndarray, light: float, side: int = SIDE) -> np.ndarray:
    """(n, side, side, 1) uint8, one for each seed."""
    noise = np.stack([np.random.default_rng(int(seed)).normal(size=(side, side, 1)) for seed in seeds])
    return np.clip(light + 30 * noise, 0, 255).astype(np.uint8)


class Painter:
    """Draws noise, `light` bright. asked: counts the images. labels: all that it was asked for, by its own numbers."""

    conditional = walks = True
    accepts_prompts = False

    def __init__(self, light: float, classes: list[str] | None = None, side: int = SIDE) -> None:
        self.light, self.classes, self.side, self.asked = light, classes or CLASSES, side, 0
        self.labels: list[int] = []

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.asked += len(seeds)
        self.labels += [] if labels is None else labels.tolist()
        return pixels(seeds, self.light, self.side)

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Brighter by a longer prompt."""
        self.asked += len(seeds)
        return np.stack([pixels([seed], self.light + len(one), self.side)[0] for seed, one in zip(seeds, prompts, strict=True)])

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return pixels(seeds, self.light, self.side)

    def close(self) -> None:
        pass


class Cells:
    """An extractor: 16 features."""

    of_classes = True

    def extract(self, images: np.ndarray) -> Features:
        vectors = 255 * views.cells(images)
        bright = vectors.mean(axis=1) > 128
        return Features(vectors, np.eye(2, dtype=np.float32)[bright.astype(int)])


class PainterRegistry(FakeRegistry):
    """Versions by number, what `evaluate` drew with them, and the files that lie with a version. log: lines of the gate."""

    def __init__(self) -> None:
        super().__init__(versions=0, champion=None, challenger=None)
        self.samplers: dict[int, Painter] = {}
        self.stored: dict[int, GeneratedSamples | bytes] = {}
        self.log: list[str] = []

    def add(self, number: int, light: float, kept: bool = True, **how: Any) -> Painter:
        """Register a version; `kept`: with what it drew."""
        self.tags[number] = {}
        painter = self.samplers[number] = Painter(light, **how)
        if kept:
            labels = generated.holdout_labels(PINNED.labels, 200)
            self.stored[number] = generated.generate_samples(painter, Cells(), PINNED.id, FIRST, 200, labels, with_steps=True)[
                1
            ]  # type: ignore[arg-type]
            painter.asked, painter.labels = 0, []
        return painter

    def contest(self, challenger: int, champion: int | None) -> Contest:
        return Contest(self.version(challenger), None if champion is None else self.version(champion))

    def artifact(self, version: Version, name: str, folder: Path) -> Path | None:
        found = self.stored.get(version.number)
        if found is None:
            return None
        if isinstance(found, bytes):
            (folder / name).write_bytes(found)
        else:
            generated.write(folder / name, found)
        return folder / name


def real(first: int, count: int) -> Features:
    return Cells().extract(pixels(range(first, first + count), 128))


PINNED = Benchmark("now", CLASSES, real(0, 300), (np.arange(300) % 3 == 0).astype(np.int32), real(500, 300), True)


def install(monkeypatch: pytest.MonkeyPatch) -> PainterRegistry:
    """The benchmark is PINNED, as `Cells` sees it."""
    monkeypatch.setattr(backend, "load", lambda: None)  # nobody here needs Keras
    monkeypatch.setattr(benchmark, "read_pinned", lambda folder: PINNED)
    monkeypatch.setattr(benchmark, "read_extractor", lambda folder: Cells())
    return PainterRegistry()
