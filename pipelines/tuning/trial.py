"""One trial: a training with some settings for each fold of the cross-validation, and its scores on the rows left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.features.base import Extractor
from pipelines.metrics.base import Comparison
from pipelines.models import base
from pipelines.scoring import benchmark, generated, scores
from pipelines.settings.schema import Params
from pipelines.training import dataset, hardware, preview
from pipelines.training.dataset import Dataset
from pipelines.training.fit import fit
from pipelines.training.training_run import TrainingRun
from pipelines.tuning.cross_validation import CvFold

FEWER = 2  # so many times fewer images are generated for a score half-way

# Gets a step, counted over all trainings of the trial, and the score then: the mean with those of the trainings before. What it
# raises ends the trial.
Report = Callable[[int, float], None]


class UnmeasurableError(InputError):
    """No trial can be scored, whatever its settings."""


@dataclass
class Experiment:
    """The parts that all trials share: the rows, read once, and the extractor of their features."""

    project: Project
    params: Params
    cv_folds: list[CvFold]
    extractor: Extractor = field(init=False)
    rows: dict[bool, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.extractor = benchmark.read_extractor(self.project.reference)

    def training_rows(self, params: Params, conditional: bool, cv_fold: CvFold) -> Dataset:
        """All rows but those of `cv_fold`.

        Raises:
            UnmeasurableError: data/clean cannot be trained on by the project's own settings.
            InputError: the rows are too few for a batch of the trial's.
        """
        if conditional not in self.rows:
            try:
                self.rows[conditional] = dataset.read(self.project, self.params, conditional, with_ids=True)
            except InputError as error:
                raise UnmeasurableError(str(error)) from None
        rows = self.rows[conditional]
        assert rows.ids is not None
        rows = rows.subset(np.flatnonzero(~np.isin(rows.ids, cv_fold.ids)))
        dataset.check(self.project, params, rows)
        return rows

    def score(self, family: base.Family, cv_fold: CvFold, count: int) -> float:
        """The score of `count` images that the model generates now, against the rows of `cv_fold`.

        Raises:
            UnmeasurableError: these rows, or so many images, are not enough for the metric.
            GenloopError, ValueError: the images are not sound.
        """
        metric, first = self.params.tune.metric, self.params.evaluate.seed
        conditional = bool(family.conditional and family.spec.classes)
        labels = generated.holdout_labels(cv_fold.benchmark.labels, count) if conditional else None
        with_steps = catalogue.scores()[metric].latent_steps
        model, fold_benchmark = FamilySampler(family), cv_fold.benchmark
        _, samples = generated.generate_samples(model, self.extractor, fold_benchmark.id, first, count, labels, with_steps)
        pinned = benchmark.read_pinned(self.project.reference) if metric == "approval" else None
        liked = generated.predicted_approval(samples, pinned, self.project.approval) if pinned else None
        comparison = Comparison(samples.as_features(liked), fold_benchmark)
        found = scores.measure(comparison, [catalogue.metric_of(metric)])
        if metric not in found.values:
            why = next(iter(found.missing.values()), f"{metric} says nothing of this data and model.family")
            raise UnmeasurableError(
                f"tune.metric: {why}; {len(fold_benchmark.labels):,} rows are left out to score by, tune.samples generates "
                f"{self.params.tune.samples:,} images, {FEWER} times fewer half-way. Set another tune.metric, or more of them"
            )
        return found.values[metric].unbiased


@dataclass(frozen=True)
class FamilySampler:
    """A model in memory, with the methods of one in a folder."""

    family: base.Family
    walks: bool = True

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.draw(self.family, seeds, labels)

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.walk(self.family, seeds, others, at, labels)


class IntermediateScores(keras.callbacks.Callback):
    """Scores the averaged weights after each preview but the last."""

    def __init__(self, every: int, steps: int, score: Callable[[int, base.Family], None]) -> None:
        super().__init__()
        self.every, self.steps, self.score = every, steps, score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        step = (epoch + 1) * self.every
        if step < self.steps:
            with preview.averaged_weights(self.model):
                self.score(step, self.model)


def run(experiment: Experiment, params: Params, name: str, report: Report) -> float:
    """The score of a trial: the mean over the folds.

    Args:
        params: with the trial's settings. name: of its progress.

    Raises:
        GenloopError, ValueError: a training failed.
    """
    found: list[float] = []
    count = len(experiment.cv_folds)
    for number, cv_fold in enumerate(experiment.cv_folds):
        if found:  # the score between two trainings
            report(number * params.train.steps, float(np.mean(found)))

        def report_mean(step: int, score: float, number: int = number) -> None:
            report(number * params.train.steps + step, float(np.mean([*found, score])))

        title = f"{name}, training {number + 1} of {count}" if count > 1 else name
        found.append(train(experiment, params, cv_fold, number, title, report_mean))
    return float(np.mean(found))


def train(experiment: Experiment, params: Params, cv_fold: CvFold, number: int, name: str, report: Report) -> float:
    family_class = catalogue.get(catalogue.MODELS, params.model.family)
    machine = hardware.choose(params.train)
    rows = experiment.training_rows(params, family_class.conditional, cv_fold)
    spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
    samples, train = params.tune.samples, params.train
    try:
        with machine.scope(), TemporaryFolder() as temporary:
            family = base.build(family_class, spec, params.model.numbers, train.seed + number)

            def score(step: int, model: base.Family) -> None:
                report(step, experiment.score(model, cv_fold, max(2, samples // FEWER)))

            folder = Path(temporary)
            training = TrainingRun(rows, train, machine, folder / "checkpoints", folder / "logs", name=name)
            fit(family, training, [IntermediateScores(train.preview_every, train.steps, score)])
        return experiment.score(family, cv_fold, samples)
    finally:
        keras.backend.clear_session()  # or each trial would leave its graphs
