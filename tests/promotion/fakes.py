"""A registry whose versions draw noise of some brightness, and an extractor that sees it coarsely: real code in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.registry import client
from pipelines.scoring import benchmark, generated, views
from pipelines.scoring.generated import Draws

SIDE, CLASSES, FIRST = 8, ["a", "b"], 1000
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def pixels(seeds: Sequence[int] | np.ndarray, light: float, side: int = SIDE) -> np.ndarray:
    """(n, side, side, 1) uint8, one for each seed."""
    noise = np.stack([np.random.default_rng(int(seed)).normal(size=(side, side, 1)) for seed in seeds])
    return np.clip(light + 30 * noise, 0, 255).astype(np.uint8)


class Painter:
    """Draws noise, `light` bright. asked: counts the images. labels: all that it was asked for, by its own numbers."""

    conditional = True

    def __init__(self, light: float, classes: list[str] | None = None, side: int = SIDE) -> None:
        self.light, self.classes, self.side, self.asked = light, classes or CLASSES, side, 0
        self.labels: list[int] = []

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.asked += len(seeds)
        self.labels += [] if labels is None else labels.tolist()
        return pixels(seeds, self.light, self.side)

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return pixels(seeds, self.light, self.side)


class Cells:
    """An extractor: 16 features."""

    of_classes = True

    def extract(self, images: np.ndarray) -> Features:
        vectors = 255 * views.coarse(images)
        bright = vectors.mean(axis=1) > 128
        return Features(vectors, np.eye(2, dtype=np.float32)[bright.astype(int)])


@dataclass
class Registry:
    """Versions by number, what `evaluate` drew with them, and the files that lie with a version. said: what was told."""

    painters: dict[int, Painter] = field(default_factory=dict)
    stored: dict[int, Draws | bytes] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def add(self, number: int, light: float, kept: bool = True, **how: Any) -> Painter:
        """Register a version; `kept`: with what it drew."""
        painter = self.painters[number] = Painter(light, **how)
        if kept:
            labels = generated.like_the_holdout(PINNED.labels, 200)
            self.stored[number] = generated.draw(painter, Cells(), PINNED.id, FIRST, 200, labels, walked=True)[1]  # type: ignore[arg-type]
            painter.asked, painter.labels = 0, []
        return painter

    def artifact(self, version: client.Version, name: str, folder: Path) -> Path | None:
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


def install(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    monkeypatch.setattr(backend, "load", lambda: None)  # nobody here needs Keras
    monkeypatch.setattr(client, "version", lambda params, n: client.Version(n, None, MADE, {}, {}, {}))
    monkeypatch.setattr(client, "load", lambda params, n: found.painters[n])
    monkeypatch.setattr(client, "artifact", found.artifact)
    monkeypatch.setattr(benchmark, "read_pinned", lambda folder: PINNED)
    monkeypatch.setattr(benchmark, "read_extractor", lambda folder: Cells())
    return found
