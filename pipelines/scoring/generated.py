"""What a model drew to be scored, as features: `evaluate` keeps it with the version, so that it is scored again undrawn."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipelines.core import files, paths
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor, Features
from pipelines.metrics.base import Trial
from pipelines.metrics.inputs import Benchmark, Drawn, Steps
from pipelines.scoring import approval, views

NAME = "drawn.npz"  # in the reports, and of the version's artifact
PATHS, EPSILON = 1_000, 0.05  # walked through the latent space, and the length of the step that is measured


class Walker(Protocol):
    """Pixels (n, size, size, channels) uint8, as an extractor takes them."""

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...


@dataclass(frozen=True)
class Draws:
    """n images, one for each seed from `first` on, as the extractor of a benchmark sees them.

    coarse: (n, c) float32, the pictures in a few cells (views.py). labels: (n,) int32, the classes asked for; None for a model
    that takes none. steps: None where nobody walked.
    """

    benchmark_id: str
    first: int
    features: Features
    coarse: np.ndarray
    labels: np.ndarray | None
    steps: Steps | None

    def __len__(self) -> int:
        return len(self.coarse)


def draw(
    model: Walker, extractor: Extractor, benchmark_id: str, first: int, count: int, labels: np.ndarray | None, walked: bool
) -> tuple[np.ndarray, Draws]:
    """The images (n, size, size, channels) uint8 of `count` seeds from `first` on, and what is to be kept of them.

    Args:
        labels: (count,) int32; None for a model that takes none. walked: whether steps are wanted as well.
    """
    seeds = first + np.arange(count)
    images = model.draw(seeds, labels)
    steps = walk(model, extractor, seeds, labels) if walked else None
    return images, Draws(benchmark_id, first, extractor.extract(images), views.coarse(images), labels, steps)


def walk(model: Walker, extractor: Extractor, seeds: np.ndarray, labels: np.ndarray | None) -> Steps:
    """A short step somewhere on the way from each of some images to another one."""
    count = min(PATHS, len(seeds))
    others = seeds[-1] + 1 + np.arange(count)
    chosen = np.linspace(0, len(seeds) - 1, count).astype(int)  # of all classes
    at = np.random.default_rng(int(seeds[0])).uniform(0, 1 - EPSILON, count)
    some = None if labels is None else labels[chosen]
    here, there = (extractor.extract(model.walk(seeds[chosen], others, at + step, some)) for step in (0, EPSILON))
    return Steps(here, there, EPSILON)


def like_the_holdout(labels: np.ndarray, count: int) -> np.ndarray:
    """(count,) int32: the classes of the held-out rows in their shares, in order."""
    named = np.sort(labels[labels >= 0])
    return named[(np.arange(count) + 0.5).astype(int) * len(named) // count] if len(named) else np.zeros(count, np.int32)


def trial(draws: Draws, pinned: Benchmark) -> Trial:
    """Against the benchmark that they were drawn for, with what people think of them by what is known now.

    Raises:
        InputError: what people like was learned from other features.
    """
    assert draws.benchmark_id == pinned.id
    return Trial(Drawn(draws.features, draws.labels, draws.steps, liked(draws, pinned)), pinned)


def liked(draws: Draws, pinned: Benchmark) -> np.ndarray | None:
    """(n,) float64, how likely people like each image; None where it is not known what they like."""
    model = approval.read()
    if model is not None and model.benchmark_id != pinned.id:
        raise InputError(
            f"{paths.APPROVAL} goes by the features of benchmark {model.benchmark_id}, but the benchmark is {pinned.id}; "
            "run `approval` again (`genloop run`)"
        )
    return model.predict(views.joined(draws.features, draws.coarse, draws.labels, pinned.of_classes)) if model else None


def join(draws: Draws, more: Draws) -> Draws:
    """Both, one after the other, of the seeds that follow each other."""
    assert (draws.benchmark_id, draws.first + len(draws)) == (more.benchmark_id, more.first)
    return Draws(
        draws.benchmark_id,
        draws.first,
        both(draws.features, more.features),
        np.concatenate([draws.coarse, more.coarse]),
        None if draws.labels is None or more.labels is None else np.concatenate([draws.labels, more.labels]),
        None
        if draws.steps is None or more.steps is None
        else Steps(both(draws.steps.here, more.steps.here), both(draws.steps.there, more.steps.there), draws.steps.epsilon),
    )


def both(some: Features, more: Features) -> Features:
    known = [seen.probabilities for seen in (some, more) if seen.probabilities is not None]
    return Features(np.concatenate([some.vectors, more.vectors]), np.concatenate(known) if len(known) == 2 else None)


def write(path: Path, draws: Draws) -> None:
    arrays: dict[str, Any] = {
        "benchmark_id": draws.benchmark_id,
        "first": draws.first,
        "vectors": draws.features.vectors,
        "coarse": draws.coarse,
    }
    if draws.features.probabilities is not None:
        arrays["probabilities"] = draws.features.probabilities
    if draws.labels is not None:
        arrays["labels"] = draws.labels
    if draws.steps is not None:
        arrays |= {"here": draws.steps.here.vectors, "there": draws.steps.there.vectors, "epsilon": draws.steps.epsilon}
    content = io.BytesIO()
    np.savez(content, **arrays)
    files.write(path, content.getvalue())


def read(path: Path) -> Draws:
    """Raises InputError where `path` holds none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        steps = None
        if "here" in arrays:
            here, there = (Features(arrays[name], None) for name in ("here", "there"))
            steps = Steps(here, there, float(arrays["epsilon"]))
        features = Features(arrays["vectors"], arrays.get("probabilities"))
        identity, first = str(arrays["benchmark_id"]), int(arrays["first"])
        return Draws(identity, first, features, arrays["coarse"], arrays.get("labels"), steps)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not what a model drew ({error}); `evaluate` writes it (`genloop run`)") from None
