"""An extractor as an instrument: real rows that are divided for it, and scores of images against the held-out ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.clean import split
from pipelines.core import files, images
from pipelines.core.form import Form
from pipelines.features import presets
from pipelines.features.base import Extractor, ExtractorSettings, Features
from pipelines.metrics import fid
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.moments import Moments
from pipelines.reference import choose_unseen
from pipelines.scoring import views

# Source, side and channels of each data set.
DATA: dict[str, tuple[str, int, Any]] = {
    "digits": ("digits", 16, 1),
    "mnist": ("npz", 28, 1),
    "cifar10": ("parquet", 32, 3),
    "glyphs": ("glyphs", 28, 1),
}
HOLDOUT = 0.2  # of all rows
LIMITS = images.Limits(max_bytes=10**7, max_side=4096, max_pixels=2**24)


@dataclass(frozen=True)
class LabelledImages:
    """images: (n, size, size, channels) uint8. labels: (n,) int32, -1 for none."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class DividedRows:
    """learned: training rows that an extractor learns from. unseen: those that it does not. holdout: rows held out."""

    name: str
    classes: list[str]
    learned: LabelledImages
    unseen: LabelledImages
    holdout: LabelledImages


def read(name: str, most: int) -> DividedRows:
    """At most so many rows of a data set, given as `name` or `name=path`, divided as `clean` and `reference` do; no copies.

    Raises:
        SystemExit: no such data set, or no path where it needs one.
    """
    name, _, path = name.partition("=")
    if name not in DATA:
        raise SystemExit(catalogue.unknown_name(name, DATA))
    kind, size, channels = DATA[name]
    source_class = catalogue.get(catalogue.SOURCES, kind)
    if "path" in source_class.model_fields and not path:
        raise SystemExit(f"{name} needs the path of its file: {name}=PATH")
    source = source_class(type=kind, **({"path": path} if path else {}), **({"count": most} if kind == "glyphs" else {}))
    form, items = Form(size, channels), list(source.items())
    chosen = np.sort(np.random.default_rng(0).permutation(len(items))[:most])  # they may come sorted by class
    rows: dict[str, tuple[np.ndarray, int]] = {}
    for item in (items[number] for number in chosen):
        pixels = form.apply(images.check_pixels(item.image, LIMITS, item.refused))
        rows.setdefault(images.row_id(pixels), (pixels, -1 if item.label is None else item.label))
    ids = np.array(list(rows))
    pictures = np.stack([pixels for pixels, _ in rows.values()])
    labels = np.array([label for _, label in rows.values()], np.int32)
    held_out = np.array([split(row_id, HOLDOUT) == "holdout" for row_id in ids.tolist()])
    unseen = np.zeros(len(ids), bool)
    unseen[~held_out] = choose_unseen(ids[~held_out], labels[~held_out])
    parts = (LabelledImages(pictures[part], labels[part]) for part in (~held_out & ~unseen, unseen, held_out))
    return DividedRows(name, source.classes(), *parts)


@dataclass(frozen=True)
class Instrument:
    """An extractor that was made for these rows.

    labels: `with labels` or `without labels`; empty where it takes none. seconds: that it took to make.
    """

    name: str
    labels: str
    seconds: float
    extractor: Extractor
    rows: DividedRows

    @cached_property
    def benchmark(self) -> Benchmark:
        holdout = self.rows.holdout
        chosen = views.pixel_rows(len(holdout))
        return Benchmark(
            id="",
            classes=self.rows.classes,
            holdout=self.extractor.extract(holdout.images),
            labels=holdout.labels,
            pixels=views.pixels(holdout.images[chosen]),
            pixel_labels=holdout.labels[chosen],
        )

    @cached_property
    def held_out(self) -> Moments:
        return Moments.from_rows(self.benchmark.holdout.vectors)

    def compare(self, shown: LabelledImages) -> Comparison:
        """What metrics score. Images without labels count as a model's that takes none."""
        labels = shown.labels if (shown.labels >= 0).all() else None
        chosen = views.pixel_rows(len(shown))
        features = self.extractor.extract(shown.images)
        pixels = views.pixels(shown.images[chosen])
        return Comparison(GeneratedFeatures(features, labels, pixels=pixels, pixel_rows=chosen), self.benchmark)

    def fid(self, features: Features) -> float:
        return fid.frechet(Moments.from_rows(features.vectors), self.held_out)


def make(rows: DividedRows, name: str, labelled: Sequence[bool], steps: int) -> list[Instrument]:
    """By an extractor, given as `name` or `name=weights`: with labels or without, as asked for, where it learns at all."""
    name, _, weights = name.partition("=")
    extractor_class = catalogue.get(catalogue.FEATURES, name)
    settings = ExtractorSettings(steps, seed=0, weights=weights or None, sha256=checksum(Path(weights)) if weights else None)
    found = []
    for with_labels in labelled if extractor_class.learns else [True]:
        labels, classes = rows.learned.labels, len(rows.classes)
        if not with_labels:
            labels, classes = np.full_like(labels, -1), 0
        start = time.perf_counter()
        extractor = extractor_class.fit(rows.learned.images, labels, classes, settings)
        words = ("with labels" if with_labels else "without labels") if extractor_class.learns else ""
        found.append(Instrument(name, words, time.perf_counter() - start, extractor, rows))
    return found


def checksum(weights: Path) -> str:
    """Of a file, or of the weights in the folder of a preset."""
    return files.sha256(weights / presets.WEIGHTS if weights.is_dir() else weights)
