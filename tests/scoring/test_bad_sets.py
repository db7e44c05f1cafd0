"""Sets of images that are too few, all alike or of the wrong classes: each metric gives a sound score or says "not enough"."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend
from pipelines.features import domain
from pipelines.features.base import ExtractorSettings
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.scoring import scores, views
from pipelines.scoring.scores import Scores
from tests.contracts import pictures

METRICS = [name for name in catalogue.METRICS if name not in ("path_length", "approval")]  # which images alone do not make
NAMES = ["a", "b", "c"]
SHARES = ("precision", "recall", "coverage", "told_apart", "memorisation", "class_accuracy")


@pytest.fixture(autouse=True)
def scaled_on_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "SCALED_ON", 512)


@dataclass(frozen=True)
class Rows:
    """images: (n, size, size, channels) uint8. labels: (n,) int32."""

    images: np.ndarray
    labels: np.ndarray


def rows(count: int, classes: int = 3, size: int = 12, seed: int = 0) -> Rows:
    return Rows(pictures(count, size, 1, seed), (np.arange(count) % classes).astype(np.int32))


def alike(count: int) -> Rows:
    return Rows(np.full((count, 12, 12, 1), 128, np.uint8), (np.arange(count) % 3).astype(np.int32))


def measure(generated: Rows, train: Rows, holdout: Rows, classes: list[str] = NAMES) -> Scores:
    """All metrics by a `domain` that has learned from two thirds of `train`."""
    backend.load()
    learned = np.arange(len(train.images)) % 3 > 0
    extractor = domain.Domain.fit(train.images[learned], train.labels[learned], len(classes), ExtractorSettings(3, seed=0))
    kept, drawn = (views.pixel_rows(len(side.images)) for side in (holdout, generated))
    benchmark = Benchmark(
        "id",
        classes,
        extractor.extract(holdout.images),
        holdout.labels,
        extractor.extract(train.images),
        extractor.of_classes,
        learned,
        views.pixels(holdout.images[kept]),
        holdout.labels[kept],
    )
    features = extractor.extract(generated.images)
    pixels = views.pixels(generated.images[drawn])
    candidate = GeneratedFeatures(features, generated.labels, pixels=pixels, pixel_rows=drawn)
    found = scores.measure(Comparison(candidate, benchmark), METRICS)
    for name, estimate in [*found.values.items(), *(pair for table in found.tables.values() for pair in table.items())]:
        low, high = estimate.interval
        assert math.isfinite(estimate.unbiased), name
        assert low <= estimate.unbiased <= high, (name, estimate)
        if name in SHARES:
            assert 0 <= low <= high <= 1, (name, estimate)
    return found


def held(found: Scores, name: str) -> bool:
    """Whether the score is there, and holds what an ideal model would get."""
    low, high = found.values[name].interval
    return low <= {"fid": 0.0, "told_apart": 0.5}[name] <= high


def test_a_single_class() -> None:
    found = measure(rows(120, 1, seed=1), rows(300, 1, seed=2), rows(120, 1, seed=3), ["only"])
    assert held(found, "fid")
    assert held(found, "told_apart")
    assert not {"class_accuracy", "inception_score"} & found.values.keys()


@pytest.mark.slow
def test_two_rows_of_a_class() -> None:
    def few(count: int, seed: int) -> Rows:
        return Rows(rows(count, seed=seed).images, np.r_[[2, 2], np.arange(count - 2) % 2].astype(np.int32))

    found = measure(few(150, 1), few(300, 2), few(150, 3))
    assert held(found, "told_apart")
    assert all(np.isfinite(estimate.unbiased) for estimate in found.tables.get("class_fids", {}).values())
    assert "c" not in found.tables.get("class_fids", {})


@pytest.mark.slow
def test_thirty_rows_in_all() -> None:
    found = measure(rows(200, seed=1), rows(24, seed=2), rows(6, seed=3))
    assert {"fid", "told_apart", "precision_recall", "density_coverage", "memorisation"} <= found.missing.keys()


@pytest.mark.slow
def test_constant_images() -> None:
    found = measure(alike(120), alike(300), alike(120))
    assert found.values["fid"].unbiased == pytest.approx(0, abs=1e-3)
    assert held(found, "told_apart")
    apart = measure(rows(120, seed=1), alike(300), alike(120))
    assert apart.values["told_apart"].interval.low > 0.9
    assert not held(apart, "fid")
    same = measure(alike(120), rows(300, seed=2), rows(120, seed=3))
    assert same.values["told_apart"].interval.low > 0.9
    assert same.values["recall"].unbiased < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [(8, 150), (256, 60)])
def test_small_and_large_images(size: int, count: int) -> None:
    found = measure(rows(count, size=size, seed=1), rows(2 * count, size=size, seed=2), rows(count, size=size, seed=3))
    assert held(found, "told_apart")
    assert held(found, "fid")


def test_generated_images_of_other_classes_than_the_holdouts() -> None:
    train, holdout = rows(300, seed=2), rows(150, seed=3)
    others = Rows(holdout.images[holdout.labels < 2], holdout.labels[holdout.labels < 2])
    only = rows(120, seed=1)
    found = measure(Rows(only.images, np.full(120, 2, np.int32)), train, others)
    assert "told_apart" in found.missing
    assert "class_fids" not in found.tables
