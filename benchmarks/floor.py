"""What an ideal model would get, told from few real rows, against what fresh real rows do get; and whether intervals hold 0.

    python -m benchmarks.floor
    python -m benchmarks.floor --mnist mnist.npz    # also of MNIST: arrays x_train and x_test, uint8

Glyphs, of which there are as many as wanted, by `domain`, which has learned from none of the rows that are compared. In each
trial others of them are held out and kept from the extractor, and fresh rows, which took part in nothing, stand for an ideal
model's images. A line for each size: the mean of `fid_floor` over 20 trials, beside the `fid` of fresh rows against fresh ones,
of 20 pairs a trial, because a single one is off by a third; how often the floor's interval holds the trial's `fid` (nominal
95 %) and that of `fid_unbiased` holds 0 (92 to 98 %); then other scores of fresh rows beside their ideals.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.core import backend
from pipelines.features.base import ExtractorSettings, Features
from pipelines.metrics import fid
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.moments import Moments
from pipelines.scoring import scores
from pipelines.sources import glyphs

FIT, POOL, SIDE = 4_000, 40_000, 16  # glyphs that the extractor learns from, others, and pixels a side
# Generated images, rows held out, and training rows kept from the extractor: 1,800 rows in all, and as many as MNIST has.
SIZES = ((200, 367, 286), (1_500, 367, 286), (6_000, 367, 286), (10_000, 12_000, 9_600), (1_500, 12_000, 9_600))
MEANS, PAIRS = 20, 20  # trials whose means are compared, and pairs of fresh sets in each
METRICS = ("precision_recall", "density_coverage", "memorisation")
OTHERS = ("precision", "recall", "density", "coverage", "memorisation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--mnist", type=Path, help="the file of Keras, which also sources of type `npz` read")
    options = parser.parse_args()
    backend.load()
    spawn = multiprocessing.get_context("spawn")  # a fork of TensorFlow may never wake
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(None, spawn, threadpool_limits, (1, "blas")) as pool:
        path = Path(folder) / "vectors.npy"
        for name, vectors in features(options.steps, options.mnist).items():
            np.save(path, vectors)
            for size in SIZES:
                report(name, size, np.array(list(pool.map(partial(trial, path, size), range(options.trials)))))


def features(steps: int, mnist: Path | None) -> dict[str, np.ndarray]:
    """(n, d) float32 features of rows that the extractor has not learned from, by the name of the data."""
    from pipelines.features.domain import Domain

    labels = (np.arange(FIT + POOL) % 10).astype(np.int32)
    drawn = np.stack([glyphs.draw(str(label), SIDE, 0, number) for number, label in enumerate(labels)])[..., None]
    images = {"glyphs": (drawn, labels)}
    if mnist is not None:
        with np.load(mnist) as arrays:
            parts = [[arrays[f"{name}_{part}"] for part in ("train", "test")] for name in "xy"]
        images["mnist"] = (np.concatenate(parts[0])[..., None], np.concatenate(parts[1]).astype(np.int32))
    found = {}
    for name, (pixels, classes) in images.items():
        extractor = Domain.fit(pixels[:FIT], classes[:FIT], 10, ExtractorSettings(steps=steps, seed=0))
        found[name] = extractor.extract(pixels[FIT:]).vectors
    return found


def trial(path: Path, size: tuple[int, int, int], seed: int) -> list[float]:
    """fid of fresh rows and fid_floor, whether intervals hold the trial's fid and 0, and each other score with its ideal; the
    first and the last are not a number in all but the first trials."""
    vectors = np.load(path)
    random = np.random.default_rng(seed)
    order = random.permutation(len(vectors))
    ends = np.cumsum(size)
    generated, real, unseen = (vectors[part] for part in np.split(order[: ends[-1]], ends[:-1]))
    pinned = Benchmark("", [], Features(real, None), np.full(len(real), -1, np.int32), Features(unseen, None))
    comparison = Comparison(GeneratedFeatures(Features(generated, None), None), pinned)
    measured = scores.measure(comparison, ["fid", *(METRICS if seed < MEANS else ())]).values
    value, floor = measured["fid"], measured["fid_floor"]
    fresh = np.nan
    if seed < MEANS:
        pairs = [random.permutation(len(vectors)) for _ in range(PAIRS)]
        sides = [[Moments.from_rows(vectors[part]) for part in np.split(pair[: sum(size[:2])], size[:1])] for pair in pairs]
        fresh = float(np.mean([fid.frechet(a, b) for a, b in sides]))
    found = [fresh, floor.value, floor.interval.low <= value.value <= floor.interval.high, value.interval.low <= 0]
    others = [(measured[name].value, measured[name].ideal) if name in measured else (None, None) for name in OTHERS]
    return [*map(float, found), *(np.nan if number is None else number for pair in others for number in pair)]


def report(name: str, size: tuple[int, int, int], trials: np.ndarray) -> None:
    fresh, floor = trials[:MEANS, :2].mean(axis=0)
    print(
        f"{name}, {size[0]:,} generated, {size[1]:,} held out, {size[2]:,} kept from the extractor: fid of fresh rows "
        f"{fresh:.4f}, floor {floor:.4f}, ratio {floor / fresh:.3f}; the floor's interval holds fid in "
        f"{trials[:, 2].mean():.1%}, that of fid_unbiased holds 0 in {trials[:, 3].mean():.1%} of {len(trials)} trials",
        flush=True,
    )
    others = trials[:MEANS, 4:].mean(axis=0).reshape(-1, 2)
    print("  and ideal: " + ", ".join(f"{name} {a:.3f} and {b:.3f}" for name, (a, b) in zip(OTHERS, others, strict=True)))


if __name__ == "__main__":
    main()
