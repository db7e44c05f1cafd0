"""told_apart: whether its interval holds 0.5 for real images, what it sees of a model and of disturbances, and its time.

    python -m benchmarks.told_apart                               # of glyphs, and of the digits of scikit-learn
    python -m benchmarks.told_apart --images mnist.npz            # of these as well
    python -m benchmarks.told_apart --model data/reports          # and of the model that `evaluate` scored in this project

Real images stand for generated ones in the first part, 100 on either side, other ones in each trial: the interval should hold
0.5 in 92 to 98 of 100.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from pipelines.core import limits
from pipelines.features.base import Features
from pipelines.metrics import intervals, told_apart, two_samples
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.intervals import Estimate
from pipelines.scoring import benchmark, generated, views
from pipelines.sources.glyphs import draw

SIDE_ROWS = 100  # of generated and of real images in a trial
LARGEST = 10_000  # generated images whose time is taken
NOISE = np.random.default_rng(0)

Images = tuple[np.ndarray, np.ndarray]  # (n, size, size, channels) uint8, and labels (n,) int32

DISTURBANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": lambda images: images,
    "a background of 1 instead of 0": lambda images: np.maximum(images, 1),
    "noise of 10 greys": lambda images: images + NOISE.normal(0, 10, images.shape),
    "noise of 30 greys": lambda images: images + NOISE.normal(0, 30, images.shape),
    "blur of half a pixel": lambda images: gaussian_filter(images, (0, 0.5, 0.5, 0)),
    "blur of 1 pixel": lambda images: gaussian_filter(images, (0, 1, 1, 0)),
    "salt and pepper, 2 %": lambda images: np.where(
        NOISE.random(images.shape) < 0.02, NOISE.choice([0.0, 255.0], images.shape), images
    ),
    "30 % of another image": lambda images: 0.7 * images + 0.3 * NOISE.permutation(images),
    "halves of two images": lambda images: np.concatenate(
        [images[:, : images.shape[1] // 2], NOISE.permutation(images)[:, images.shape[1] // 2 :]], axis=1
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", default=[], help="an .npz file with x_train and y_train")
    parser.add_argument("--model", type=Path, help="data/reports of a project")
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    kinds = {"digits": digits(), **{path.stem: read(path) for path in options.images}}
    with ProcessPoolExecutor(initializer=use_one_core) as pool:
        report_trials("glyphs", list(pool.map(glyph_trial, range(options.trials))))
        for name, images in kinds.items():
            report_trials(name, list(pool.map(image_trial, [images] * options.trials, range(options.trials))))
    for name, images in kinds.items():
        print_disturbances(name, *images)
    if options.model:
        print_model(options.model)
    for shape in ((28, 28, 1), (32, 32, 3), (128, 128, 3)):
        print_time(shape)


def use_one_core() -> None:
    """Trials share the cores, so that each has one."""
    two_samples.cores = lambda: 1  # type: ignore[attr-defined]


def digits() -> Images:
    found = load_digits()
    return (found.images * 15.9).astype(np.uint8)[..., None], found.target.astype(np.int32)


def read(path: Path) -> Images:
    with np.load(path) as file:
        images, labels = file["x_train"], file["y_train"].reshape(-1).astype(np.int32)
    return images.reshape(*images.shape[:3], -1), labels


def glyph_trial(seed: int) -> tuple[Estimate, Estimate]:
    """Glyphs that took part in no other trial."""
    numbers = 3 * SIDE_ROWS * seed + np.arange(3 * SIDE_ROWS)
    images = np.stack([draw(str(number % 10), 16, 7, int(number)) for number in numbers])[..., None]
    return trial((images, (numbers % 10).astype(np.int32)))


def image_trial(images: Images, seed: int) -> tuple[Estimate, Estimate]:
    chosen = np.random.default_rng(seed).choice(len(images[0]), 3 * SIDE_ROWS, replace=False)
    return trial((images[0][chosen], images[1][chosen]))


def trial(images: Images) -> tuple[Estimate, Estimate]:
    """The scores of two models that generate real images, against the same real ones."""
    a, b, real = ((images[0][first::3], images[1][first::3]) for first in range(3))
    return measure(*a, *real), measure(*b, *real)


def measure(images: np.ndarray, labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray) -> Estimate:
    return told_apart.score(compare(images, labels, real, real_labels))["told_apart"]


def compare(images: np.ndarray, labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray) -> Comparison:
    rows, real_rows = views.pixel_rows(len(images)), views.pixel_rows(len(real))
    nothing = Features(np.zeros((len(images), 1), np.float32), None)
    candidate = GeneratedFeatures(nothing, labels, pixels=views.pixels(images[rows]), pixel_rows=rows)
    pixels = views.pixels(real[real_rows])
    pinned = Benchmark("benchmark", [], nothing, real_labels, pixels=pixels, pixel_labels=real_labels[real_rows])
    return Comparison(candidate, pinned)


def report_trials(name: str, found: list[tuple[Estimate, Estimate]]) -> None:
    values = np.array([estimate.value for pair in found for estimate in pair])
    held = np.mean([estimate.interval.low <= 0.5 <= estimate.interval.high for pair in found for estimate in pair])
    differences = [intervals.difference(*pair)[1] for pair in found]
    same = np.mean([low <= 0 <= high for low, high in differences])
    spread = values.var() / told_apart_variance()
    print(
        f"{name}: {len(found)} trials of two sets of {SIDE_ROWS} real images against as many: mean {values.mean():.3f}, the "
        f"interval holds 0.5 in {held:.1%}, that of the difference of both holds 0 in {same:.1%}; variance {spread:.2f} times "
        "that of independent hits",
        flush=True,
    )


def told_apart_variance() -> float:
    """Of the share of independent hits."""
    return 0.25 / (2 * SIDE_ROWS)


def print_disturbances(name: str, images: np.ndarray, labels: np.ndarray) -> None:
    half = min(len(images) // 2, 1000)
    order = np.random.default_rng(0).permutation(len(images))  # files may be sorted by class
    images, labels = images[order], labels[order]
    real, real_labels = images[half : 2 * half], labels[half : 2 * half]
    for title, disturb in DISTURBANCES.items():
        disturbed = np.clip(np.rint(disturb(images[:half].astype(float))), 0, 255).astype(np.uint8)
        print(f"{name}, {title}: {text(measure(disturbed, labels[:half], real, real_labels))}", flush=True)


def print_model(reports: Path) -> None:
    samples = generated.read(reports / generated.NAME)
    pinned = benchmark.read_pinned(reports.parent / "reference")
    found = told_apart.score(generated.comparison(samples, pinned, reports.parent / "approval"))["told_apart"]
    print(f"the model of {reports}: {text(found)}", flush=True)


def print_time(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (LARGEST // 4, *shape), dtype=np.uint8).repeat(4, axis=0)
    labels = (np.arange(LARGEST) % 10).astype(np.int32)
    start = time.perf_counter()
    measure(images, labels, images, labels)
    seconds = time.perf_counter() - start
    print(f"{LARGEST:,} images of {'x'.join(map(str, shape))}: {seconds:.1f} s on {limits.cores()} cores", flush=True)


def text(found: Estimate) -> str:
    low, high = found.interval
    return f"{found.value:.3f}, 95% interval {low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
