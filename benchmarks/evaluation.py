"""All metrics with their intervals, for 10,000 images: how long the features take, and each metric.

    python -m benchmarks.evaluation

Images are scikit-learn's digits, shifted and with noise, at 28x28: 10,000 stand for drawn ones, 10,000 are held out, and 50,000
were trained on. Drawing is not counted, nor the features of held-out and training rows, which are `reference`'s work.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.datasets import load_digits

from pipelines import catalogue
from pipelines.core import backend
from pipelines.scoring import scores, views

DRAWN, REAL, TRAIN, PATHS = 10_000, 10_000, 50_000, 1_000
SIDE = 28


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 28, 28, 1) uint8 and their (count,) labels."""
    random = np.random.default_rng(seed)
    digits = load_digits()
    rows = random.integers(len(digits.images), size=count)
    large = digits.images[rows].repeat(3, axis=1).repeat(3, axis=2) * 15
    placed = np.zeros((count, SIDE, SIDE))
    for image, target, (top, left) in zip(large, placed, random.integers(0, 5, (count, 2)), strict=True):
        target[top : top + 24, left : left + 24] = image
    noisy = placed + random.normal(0, 8, placed.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)[..., None], digits.target[rows].astype(np.int32)


def main() -> None:
    backend.load()
    from pipelines.features.base import ExtractorSettings
    from pipelines.features.domain import Domain
    from pipelines.metrics.base import Comparison
    from pipelines.metrics.inputs import Benchmark, GeneratedFeatures, LatentSteps

    train, labels = images(TRAIN, 0)
    extractor = Domain.fit(train, labels, 10, ExtractorSettings(steps=200, seed=0))
    real, real_labels = images(REAL, 1)
    names = [str(label) for label in range(10)]
    rows = views.pixel_rows(REAL)
    pinned = Benchmark(
        "benchmark",
        names,
        extractor.extract(real),
        real_labels,
        extractor.extract(train),
        pixels=views.pixels(real[rows]),
        pixel_labels=real_labels[rows],
    )
    drawn, drawn_labels = images(DRAWN, 2)
    here, there = images(PATHS, 3)[0], images(PATHS, 4)[0]

    start = began = time.perf_counter()
    steps = LatentSteps(extractor.extract(here), extractor.extract(there), 0.05)
    rows = views.pixel_rows(DRAWN)
    pixels = views.pixels(drawn[rows])
    candidate = GeneratedFeatures(extractor.extract(drawn), drawn_labels, steps, pixels=pixels, pixel_rows=rows)
    comparison = Comparison(candidate, pinned)
    print(f"features of {DRAWN + 2 * PATHS:,} images: {time.perf_counter() - start:.1f} s")
    for name in catalogue.METRICS:
        start = time.perf_counter()
        found = scores.measure(comparison, [name])
        print(f"{name}: {time.perf_counter() - start:.1f} s ({', '.join([*found.values, *found.tables, *found.missing])})")
    print(f"all: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
