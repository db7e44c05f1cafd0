"""A version in front of the gate: what it has drawn, as features under the benchmark of now, and what that scores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import backend, paths
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor
from pipelines.metrics.inputs import Benchmark
from pipelines.registry import client
from pipelines.scoring import benchmark, generated, scores
from pipelines.scoring.generated import Draws
from pipelines.scoring.image_sets import Form
from pipelines.scoring.scores import Scores
from pipelines.settings.schema import Params


@dataclass(frozen=True)
class Sight:
    """What every version is seen by. walked: whether steps through the latent space are wanted as well."""

    pinned: Benchmark
    form: Form
    walked: bool

    @cached_property
    def extractor(self) -> Extractor:
        """Of the benchmark, loaded when something has been drawn for it to see."""
        backend.load()
        return benchmark.read_extractor(paths.REFERENCE)


class Candidate:
    """A version and its draws; it is loaded only when it has to draw."""

    def __init__(self, params: Params, number: int, sight: Sight, say: Callable[[str], None]) -> None:
        """Raises NoVersionError where there is no such version."""
        self.params, self.number, self.sight, self.say = params, number, sight, say
        self.model: Versioned | None = None
        found = self.stored(client.version(params, number))
        self.draws = found or self.draw(params.evaluate.seed, params.evaluate.samples)

    def scores(self, metrics: Sequence[str]) -> Scores:
        return scores.measure(generated.trial(self.draws, self.sight.pinned), metrics)

    def more(self, count: int) -> None:
        """Draw `count` more, of the seeds that follow."""
        self.draws = generated.join(self.draws, self.draw(self.draws.first + len(self.draws), count))

    def stored(self, version: client.Version) -> Draws | None:
        """What `evaluate` drew with it, if that is what would be drawn now."""
        with tempfile.TemporaryDirectory() as folder:
            place = client.artifact(version, generated.NAME, Path(folder))
            try:
                found = generated.read(place) if place else None
            except InputError:
                found = None
        why = "what it drew is not kept with it" if found is None else self.misfit(found)
        if why:
            self.say(f"version {self.number} is scored again: {why}")
        return None if why else found

    def misfit(self, found: Draws) -> str:
        """Why these draws will not do; nothing where they will."""
        pinned, wanted = self.sight.pinned, self.params.evaluate
        if found.benchmark_id != pinned.id:
            return f"its scores are by benchmark {found.benchmark_id}, and the benchmark is {pinned.id} now"
        if (found.first, len(found)) != (wanted.seed, wanted.samples):
            return (
                f"it drew {len(found):,} samples from seed {found.first} on, and evaluate asks for {wanted.samples:,} from "
                f"{wanted.seed} on now"
            )
        if found.labels is not None and not np.array_equal(found.labels, generated.like_the_holdout(pinned.labels, len(found))):
            return "the classes of the held-out rows have changed"
        if self.sight.walked and found.steps is None:
            return "path_length is asked for now"
        return ""

    def draw(self, first: int, count: int) -> Draws:
        if self.model is None:
            self.model = Versioned(client.load(self.params, self.number), self.sight)
        self.say(f"version {self.number} draws {count:,} samples")
        walked = self.sight.walked and self.model.walks
        labels = self.model.labels(count)
        return generated.draw(self.model, self.sight.extractor, self.sight.pinned.id, first, count, labels, walked)[1]


class Versioned:
    """The version's own code and weights, whose images are brought to the benchmark's form, and its classes to the
    benchmark's numbers: settings may have changed since it was trained."""

    def __init__(self, drawer: Any, sight: Sight) -> None:
        self.drawer, self.pinned, self.form = drawer, sight.pinned, sight.form
        self.walks = hasattr(drawer, "walk")
        own = list(drawer.classes) if drawer.conditional else []
        self.own = np.array([own.index(name) if name in own else -1 for name in self.pinned.classes], np.int32)

    def labels(self, count: int) -> np.ndarray | None:
        """(count,) int32, the benchmark's classes in the holdout's shares, as far as the version knows them."""
        known = np.append(self.own, -1)[self.pinned.labels] >= 0  # -1 is no class, and so the last
        return generated.like_the_holdout(self.pinned.labels[known], count) if known.any() else None

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.brought(self.drawer.draw(seeds, self.numbered(labels)))

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.brought(self.drawer.walk(seeds, others, at, self.numbered(labels)))

    def numbered(self, labels: np.ndarray | None) -> np.ndarray | None:
        return None if labels is None else self.own[labels]

    def brought(self, images: np.ndarray) -> np.ndarray:
        if images.shape[1:] == self.form.shape:
            return images
        return np.stack([self.form.bring(image) for image in images])
