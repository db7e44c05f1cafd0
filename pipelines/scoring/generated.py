"""Samples of a model as features: `evaluate` keeps them with the version, so that scoring it again generates nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor, Features
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures, LatentSteps
from pipelines.scoring import approval, views

NAME = "drawn.npz"  # in the reports, and of the version's artifact
WALKS, EPSILON = 1_000, 0.05  # paths through the latent space, and the length of the step that is measured on each


NO_STEPS = "this model's sampler has no `walk` from one image to another"


class ImageSampler(Protocol):
    """A model that generates images, (n, size, size, channels) uint8, as an extractor takes them."""

    @property
    def walks(self) -> bool:
        """Whether it has a way from one image to another."""

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...


@dataclass(frozen=True)
class GeneratedSamples:
    """Features of n generated images, one for each seed from `first` on, by the extractor of a benchmark.

    summary: (n, s) float32, of the images (views.py). labels: (n,) int32, the classes asked for; None for a model
    that takes none. steps: None where none were measured. pixels: (p, height, width, channels) uint8, small pictures of the
    images `pixel_rows` (p,) int (views.py); None of samples that were kept before there were any. no_steps: why there can be no
    steps, empty where there can.
    """

    benchmark_id: str
    first: int
    features: Features
    summary: np.ndarray
    labels: np.ndarray | None
    steps: LatentSteps | None
    pixels: np.ndarray | None = None
    pixel_rows: np.ndarray | None = None
    no_steps: str = ""

    def __len__(self) -> int:
        return len(self.summary)

    def as_features(self, approval: np.ndarray | None = None) -> GeneratedFeatures:
        """As metrics take them. approval: (n,) float64, how likely people like each."""
        return GeneratedFeatures(
            self.features, self.labels, self.steps, approval, self.pixels, self.pixel_rows, no_steps=self.no_steps
        )


def generate_samples(
    model: ImageSampler,
    extractor: Extractor,
    benchmark_id: str,
    first: int,
    count: int,
    labels: np.ndarray | None,
    with_steps: bool,
) -> tuple[np.ndarray, GeneratedSamples]:
    """The images (n, size, size, channels) uint8 of `count` seeds from `first` on, and their features.

    labels: (count,) int32; None for a model that takes none. with_steps: whether steps are measured, too, of a model that has
    some.
    """
    seeds = first + np.arange(count)
    images = model.draw(seeds, labels)
    no_steps = NO_STEPS if with_steps and not model.walks else ""
    steps = walk(model, extractor, seeds, labels) if with_steps and not no_steps else None
    features, summary, rows = extractor.extract(images), views.summarise(images), views.pixel_rows(count)
    pixels = views.pixels(images[rows])
    return images, GeneratedSamples(benchmark_id, first, features, summary, labels, steps, pixels, rows, no_steps)


def walk(model: ImageSampler, extractor: Extractor, seeds: np.ndarray, labels: np.ndarray | None) -> LatentSteps:
    """Features at both ends of a short step on the way from each of some images to another one."""
    count = min(WALKS, len(seeds))
    targets = seeds[-1] + 1 + np.arange(count)
    chosen = np.linspace(0, len(seeds) - 1, count).astype(int)  # of all classes
    at = np.random.default_rng(int(seeds[0])).uniform(0, 1 - EPSILON, count)
    step_labels = None if labels is None else labels[chosen]
    start, end = (extractor.extract(model.walk(seeds[chosen], targets, at + step, step_labels)) for step in (0, EPSILON))
    return LatentSteps(start, end, EPSILON)


def holdout_labels(labels: np.ndarray, count: int) -> np.ndarray:
    """(count,) int32: the classes of the held-out rows in their shares, in order."""
    named = np.sort(labels[labels >= 0])
    return named[(np.arange(count) + 0.5).astype(int) * len(named) // count] if len(named) else np.zeros(count, np.int32)


def comparison(samples: GeneratedSamples, pinned: Benchmark, approval_folder: Path) -> Comparison:
    """The samples and their benchmark as metrics take them, with the approval that is predicted now, and the held-out rows as
    people weigh them now.

    Raises InputError where the stage `approval` went by another benchmark.
    """
    assert samples.benchmark_id == pinned.id
    if pinned.ids is not None:
        pinned = replace(pinned, preferred=approval.holdout_weights(approval_folder, pinned.ids))
    return Comparison(samples.as_features(predicted_approval(samples, pinned, approval_folder)), pinned)


def predicted_approval(samples: GeneratedSamples, pinned: Benchmark, approval_folder: Path) -> np.ndarray | None:
    """(n,) float64, how likely people like each image; None where there is no approval model.

    Raises InputError where the model was fitted on other features.
    """
    model = approval.read(approval_folder)
    if model is not None and model.benchmark_id != pinned.id:
        raise InputError(
            f"{approval_folder} goes by the features of benchmark {model.benchmark_id}, but the benchmark is {pinned.id}; "
            "run `approval` again (`genloop run`)"
        )
    return model.predict(views.combine(samples.features, samples.summary, samples.labels, pinned.of_classes)) if model else None


def join(samples: GeneratedSamples, more: GeneratedSamples) -> GeneratedSamples:
    """Both as one, where the seeds of `more` follow those of `samples`."""
    assert (samples.benchmark_id, samples.first + len(samples)) == (more.benchmark_id, more.first)
    labels, steps = None, None
    if samples.labels is not None and more.labels is not None:
        labels = np.concatenate([samples.labels, more.labels])
    if samples.steps is not None and more.steps is not None:
        start = concatenate(samples.steps.start, more.steps.start)
        steps = LatentSteps(start, concatenate(samples.steps.end, more.steps.end), samples.steps.epsilon)
    pixels, pixel_rows = None, None
    if samples.pixels is not None and more.pixels is not None:
        assert samples.pixel_rows is not None
        assert more.pixel_rows is not None
        pixels = np.concatenate([samples.pixels, more.pixels])
        pixel_rows = np.concatenate([samples.pixel_rows, len(samples) + more.pixel_rows])
    return GeneratedSamples(
        samples.benchmark_id,
        samples.first,
        concatenate(samples.features, more.features),
        np.concatenate([samples.summary, more.summary]),
        labels,
        steps,
        pixels,
        pixel_rows,
        samples.no_steps or more.no_steps,
    )


def concatenate(first: Features, second: Features) -> Features:
    parts = [features.probabilities for features in (first, second) if features.probabilities is not None]
    return Features(np.concatenate([first.vectors, second.vectors]), np.concatenate(parts) if len(parts) == 2 else None)


def write(path: Path, samples: GeneratedSamples) -> None:
    steps, features = samples.steps, samples.features
    arrays: dict[str, Any] = {"no_steps": samples.no_steps} if samples.no_steps else {}
    if steps:
        arrays |= {"here": steps.start.vectors, "there": steps.end.vectors, "epsilon": steps.epsilon}
    files.write_arrays(
        path,
        benchmark_id=samples.benchmark_id,
        first=samples.first,
        vectors=features.vectors,
        summary=samples.summary,
        probabilities=features.probabilities,
        labels=samples.labels,
        pixels=samples.pixels,
        pixel_rows=samples.pixel_rows,
        **arrays,
    )


def read(path: Path) -> GeneratedSamples:
    """Raises InputError where `path` holds no such samples."""
    with files.content_errors(path, "samples of a model", "`evaluate` writes them (`genloop run`)"):
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        steps = None
        if "here" in arrays:
            start, end = (Features(arrays[name], None) for name in ("here", "there"))
            steps = LatentSteps(start, end, float(arrays["epsilon"]))
        features = Features(arrays["vectors"], arrays.get("probabilities"))
        identity, first = str(arrays["benchmark_id"]), int(arrays["first"])
        labels, pixels, pixel_rows = map(arrays.get, ("labels", "pixels", "pixel_rows"))
        no_steps = str(arrays.get("no_steps", ""))
        return GeneratedSamples(identity, first, features, arrays["summary"], labels, steps, pixels, pixel_rows, no_steps)
