"""One trial: a training with some settings, without each part of the rows in turn, and its score against that part."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines import catalogue
from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor
from pipelines.metrics.base import Trial
from pipelines.metrics.inputs import Drawn
from pipelines.models import base
from pipelines.scoring import benchmark, generated, scores
from pipelines.settings.schema import Params
from pipelines.training import dataset, fitting, hardware, preview
from pipelines.training.dataset import Dataset
from pipelines.tuning.cross_validation import Part

LOOKS = 4  # parts of a training, after each of which but the last it is looked at
FEWER = 2  # so many times fewer images are drawn then

# Told of a step, counted over all trainings of the trial, and the score then, the mean with those of the trainings before. It
# raises what ends the trial.
Look = Callable[[int, float], None]


class UnmeasurableError(InputError):
    """No trial can be scored, whatever its settings."""


@dataclass
class Bench:
    """What all trials have in common: the rows, read once, and what scores them."""

    params: Params
    parts: list[Part]
    extractor: Extractor = field(init=False)
    rows: dict[bool, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.extractor = benchmark.read_extractor(paths.REFERENCE)

    def training(self, params: Params, conditional: bool, part: Part) -> Dataset:
        """The rows that are trained on while `part` is left out.

        Raises:
            UnmeasurableError: data/clean cannot be trained on by the project's own settings.
            InputError: the rows are too few for a batch of the trial's.
        """
        if conditional not in self.rows:
            try:
                self.rows[conditional] = dataset.read(self.params, conditional, with_ids=True)
            except InputError as error:
                raise UnmeasurableError(str(error)) from None
        every = self.rows[conditional]
        assert every.ids is not None
        chosen = every.chosen(np.flatnonzero(~np.isin(every.ids, part.ids)))
        dataset.check(chosen, params)
        return chosen

    def score(self, family: base.Family, part: Part, count: int) -> float:
        """What `count` images that it draws now score against the rows that were left out.

        Raises:
            UnmeasurableError: these rows, or so many drawn ones, are not enough for the metric.
            GenloopError, ValueError: what is drawn is not sound.
        """
        metric, first = self.params.tune.metric, self.params.evaluate.seed
        conditional = bool(family.conditional and family.spec.classes)
        labels = generated.like_the_holdout(part.benchmark.labels, count) if conditional else None
        walked = metric == "path_length"
        _, draws = generated.draw(Now(family), self.extractor, part.benchmark.id, first, count, labels, walked)
        liked = generated.liked(draws, benchmark.read_pinned(paths.REFERENCE)) if metric == "approval" else None
        trial = Trial(Drawn(draws.features, draws.labels, draws.steps, liked), part.benchmark)
        found = scores.measure(trial, [scores.YIELDED_BY.get(metric, metric)])
        if metric not in found.values:
            why = next(iter(found.missing.values()), f"{metric} says nothing of this data and model.family")
            raise UnmeasurableError(
                f"tune.metric: {why}; {len(part.benchmark.labels):,} rows are left out to score by, and tune.samples draws "
                f"{self.params.tune.samples:,} images, {FEWER} times fewer half-way. Set another tune.metric, or more of them"
            )
        return found.values[metric].value


@dataclass(frozen=True)
class Now:
    """A model in memory that draws as one in a folder does."""

    family: base.Family

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.draw(self.family, seeds, labels)

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.walk(self.family, seeds, others, at, labels)


class Looks(keras.callbacks.Callback):
    """Scores a training at a few points of it, with averaged weights."""

    def __init__(self, every: int, steps: int, look: Callable[[int, base.Family], None]) -> None:
        super().__init__()
        self.every, self.steps, self.look = every, steps, look

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        step = (epoch + 1) * self.every
        if step < self.steps:
            with preview.averaged(self.model):
                self.look(step, self.model)


def run(bench: Bench, params: Params, name: str, look: Look) -> float:
    """The score of a trial: the mean over the parts.

    Args:
        params: with the trial's settings. name: of its progress.

    Raises:
        GenloopError, ValueError: a training came to nothing.
    """
    found: list[float] = []
    for number, part in enumerate(bench.parts):
        if found:  # what is known between two trainings
            look(number * params.train.steps, float(np.mean(found)))
        words = f"{name}, part {number + 1} of {len(bench.parts)}" if len(bench.parts) > 1 else name

        def told(step: int, score: float, number: int = number) -> None:
            look(number * params.train.steps + step, float(np.mean([*found, score])))

        found.append(train(bench, params, part, number, words, told))
    return float(np.mean(found))


def train(bench: Bench, params: Params, part: Part, number: int, name: str, look: Look) -> float:
    family_class = catalogue.get(catalogue.MODELS, params.model.family)
    chosen = hardware.chosen(params.train)
    rows = bench.training(params, family_class.conditional, part)
    spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
    samples, settings = params.tune.samples, params.train
    try:
        with hardware.used(chosen), tempfile.TemporaryDirectory(prefix="genloop-tune-") as temporary:
            family = base.build(family_class, spec, params.model.numbers, settings.seed + number)

            def looked(step: int, model: base.Family) -> None:
                look(step, bench.score(model, part, max(2, samples // FEWER)))

            also = [Looks(settings.preview_every, settings.steps, looked)]
            place = Path(temporary)
            fitting.fit(family, rows, settings, chosen, place / "checkpoints", place / "logs", also=also, name=name)
        return bench.score(family, part, samples)
    finally:
        keras.backend.clear_session()  # or each trial would leave its graphs
