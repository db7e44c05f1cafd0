"""Compare: the metrics between a candidate set A and a reference set B, of images or features, with or without a project."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from operations import feature_space
from operations.feature_space import FeatureSpace, ImageSet
from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.features.base import ExtractorSettings
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures, LatentSteps
from pipelines.metrics.moments import chunks
from pipelines.registry.models_uri import is_models_uri, open_version
from pipelines.scoring import disk_arrays, generated, scores, views
from pipelines.scoring.image_sets import FileImageSet, ModelImageSet, Survey, open_files
from pipelines.scoring.scores import Scores

NONE = "none"  # in place of an extractor: the files hold features
COUNT = 10_000  # images that a model generates where nothing says how many


@dataclass(frozen=True)
class CompareOptions:
    """What to compare by. None: taken from the benchmark of the project, or from the images.

    extractor: a name, or NONE. metrics: names with commas between them. size: pixels a side. count, seed: of images that a
    model generates. weights, sha256: of the file of an extractor that is read from one.
    """

    extractor: str | None = None
    metrics: str | None = None
    size: int | None = None
    count: int | None = None
    seed: int = 0
    weights: str | None = None
    sha256: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        return list(catalogue.METRICS) if self.metrics is None else [name.strip() for name in self.metrics.split(",")]


def compare(project: Project, a: str, b: str, options: CompareOptions, log: Callable[[str], None]) -> Scores:
    """Score the set at `a` against that at `b`: paths, URLs or models:/NAME@alias.

    project: the surrounding one; outside of any, a folder without registry and benchmark.

    Raises:
        InputError: a set cannot be read, or no metric can be computed; too few images are found out before any work.
    """
    comparison = compare_features(a, b) if options.extractor == NONE else compare_images(project, a, b, options, log)
    found = score(comparison, options)
    if found.missing and not found.values and not found.tables:
        raise InputError(f"nothing to score: {'; '.join(found.missing.values())}")
    return found


def compare_features(a: str, b: str) -> Comparison:
    """The comparison of two files that hold features."""
    candidate, reference = (disk_arrays.load(Path(place), "features") for place in (a, b))
    if candidate.shape[1] != reference.shape[1]:
        raise InputError(
            f"features of different widths cannot be compared: {a} has {candidate.shape[1]:,} numbers in a row, {b} has "
            f"{reference.shape[1]:,}; use the same extractor for both"
        )
    for place, rows in ((a, candidate), (b, reference)):
        if not len(rows):
            raise InputError(f"{place}: no rows in it")
    if len(reference) > 1 and all((chunk == reference[0:1]).all() for _, chunk in chunks(reference)):
        raise InputError(f"{b}: all {len(reference):,} rows are the same; give rows that differ, to compare with")
    disk_arrays.digest(candidate)  # raises where numbers are not finite
    identity = hashlib.sha256(f"{disk_arrays.digest(reference)} {NONE} {reference.dtype}".encode()).hexdigest()[:16]
    labels = np.full(len(reference), -1, np.int32)
    benchmark = Benchmark(identity, [], feature_space.stored_features(reference), labels, of_classes=False)
    return Comparison(GeneratedFeatures(feature_space.stored_features(candidate), None), benchmark)


def compare_images(project: Project, a: str, b: str, options: CompareOptions, log: Callable[[str], None]) -> Comparison:
    """The comparison of two image sets by one extractor, which gets both in the same form."""
    candidate, reference = (open_set(project, place) for place in (a, b))  # a missing set fails first
    if isinstance(reference, ModelImageSet):
        count = options.count or COUNT
        # The two must not share their noise.
        first = options.seed + (count if isinstance(candidate, ModelImageSet) else 0)
        reference = reference.with_seeds(seeds(first, count), None)
    survey = reference.survey(identify=True)
    if len(survey) > 1 and (survey.ids == survey.ids[0]).all():
        raise InputError(f"{b}: all {len(survey):,} images are the same one; give images that differ, to compare with")
    if isinstance(candidate, ModelImageSet):
        count = options.count or min(COUNT, len(survey))
        labels = translate_labels(generated.holdout_labels(survey.labels, count), reference.classes, candidate.classes)
        candidate = candidate.with_seeds(seeds(options.seed, count), labels)
    candidate_survey = candidate.survey(identify=isinstance(candidate, FileImageSet))
    if shared := int(np.isin(candidate_survey.ids, survey.ids).sum()):
        log(f"{shared:,} of the {len(candidate_survey):,} images of {a} are in {b} as well, which makes scores better")
    if candidate_survey.colour and not survey.colour:
        log(f"{a} has colours and {b} has none: both are compared in grey")
    check_rows(project, options, len(candidate_survey), survey, log)

    backend.load()
    space = choose_space(project, options, reference, survey, log)
    log(f"features by `{space.name}`, {space.extractor.description}, of images {'x'.join(map(str, space.form.shape))}")
    if resized := [name for name, of in ((a, candidate_survey), (b, survey)) if of.sizes != {space.form.shape[:2]}]:
        log(f"images of {' and '.join(resized)} are resized to that, which may be what tells them from others")
    labels = translate_labels(candidate_survey.labels, candidate.classes, reference.classes)
    compared = ~space.fitted_on
    with_steps = catalogue.need_latent_steps(options.names)
    steps = latent_steps(candidate, space) if with_steps else None
    no_steps = generated.NO_STEPS if with_steps and steps is None and isinstance(candidate, ModelImageSet) else ""
    real, pixels = space.describe(reference, len(survey), compared)
    real_labels = survey.labels[compared]
    benchmark = Benchmark(
        space.identity(survey),
        reference.classes if labels is not None else [],
        real,
        real_labels,
        of_classes=space.extractor.of_classes and space.classes == reference.classes,
        pixels=pixels,
        pixel_labels=real_labels[views.pixel_rows(len(real_labels))],
    )
    found, pixels = space.describe(candidate, len(candidate_survey))
    pixel_rows = views.pixel_rows(len(candidate_survey))
    features = GeneratedFeatures(found, labels, steps, pixels=pixels, pixel_rows=pixel_rows, no_steps=no_steps)
    return Comparison(features, benchmark)


def check_rows(project: Project, options: CompareOptions, a: int, b: Survey, log: Callable[[str], None]) -> None:
    """Say which metrics have too few images, before minutes of work. a: number of images of A.

    Raises:
        InputError: all that can apply have.
    """
    name = options.extractor or "domain"
    pinned = options.extractor is None and (project.reference / "benchmark.json").is_file()  # by whatever extractor
    extractor = catalogue.get(catalogue.FEATURES, name)
    width = 0 if pinned else extractor.width
    halved = extractor.learns and not pinned
    compared = len(b) - len(b) // 2 if halved else len(b)
    scores = {metric: catalogue.yields(metric)[0] for metric in options.names}
    wanted = [metric for metric, score in scores.items() if options.metrics is not None or score.real_rows(width)]
    lacking = [name for name in wanted if a < scores[name].rows(width) or compared < scores[name].real_rows(width)]
    if not lacking:
        return
    words = f"too few images for {', '.join(lacking)}: A has {a:,}, and B has {len(b):,}"
    words += f", of which `{name}` learns from a half" if halved else ""
    others = options.metrics is None and (not extractor.learns or bool((b.labels >= 0).any()))  # of classes
    if lacking == wanted and not others:
        raise InputError(f"{words}; give more images, or other --metrics; docs/metrics.md says how many each needs")
    log(words)


def open_set(project: Project, place: str) -> ImageSet:
    if not is_models_uri(place):
        return open_files(place)
    if not project.params_file.is_file() and not project.environment.get("MLFLOW_TRACKING_URI"):
        raise InputError(f"{place}: set MLFLOW_TRACKING_URI to your registry, or score in the project that has one")
    return ModelImageSet(*open_version(project, place))


def seeds(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int64)


def translate_labels(labels: np.ndarray, own: list[str], classes: list[str]) -> np.ndarray | None:
    """(n,) int32: labels of the classes `own` as indices into `classes`; None where a label lacks or is of no class there."""
    if not own or not set(own) <= set(classes) or (labels < 0).any():
        return None
    return np.array([classes.index(name) for name in own], np.int32)[labels]


def choose_space(
    project: Project, options: CompareOptions, reference: ImageSet, survey: Survey, log: Callable[[str], None]
) -> FeatureSpace:
    """The space of the option --extractor, else of the project's benchmark, else of an extractor fitted on B."""
    if options.extractor is None:
        found = feature_space.benchmark_space(project, 3 if survey.colour else 1, options.size, len(survey), log)
        if found is not None:
            return found
        log("no project with a benchmark for such images is here; so `domain`, a small network, is trained for this")
    settings = ExtractorSettings(feature_space.STEPS, feature_space.SEED, options.weights, options.sha256, project.downloads)
    return feature_space.fit_space(options.extractor or "domain", reference, survey, options.size, settings, log)


def latent_steps(candidate: ImageSet, space: FeatureSpace) -> LatentSteps | None:
    """Features of short steps through the latent space of a model; None for files and for a model without one."""
    if isinstance(candidate, FileImageSet) or not candidate.sampler.walks:
        return None
    walker: Any = SimpleNamespace(walk=partial(candidate.walk, space.form))
    return generated.walk(walker, space.extractor, candidate.seeds, candidate.labels)


def score(comparison: Comparison, options: CompareOptions) -> Scores:
    found = Scores(comparison.benchmark.id, len(comparison.generated), {})
    with Progress("metrics", len(options.names), "metrics") as progress:
        for name in options.names:
            measured = scores.measure(comparison, [name])
            if options.metrics is not None and not (measured.values or measured.tables or measured.missing):
                needs = next((declared.needs for declared in catalogue.yields(name) if declared.needs), "other inputs")
                measured = replace(measured, missing={name: f"{name} needs {needs}"})
            found = replace(
                found,
                values=found.values | measured.values,
                tables=found.tables | measured.tables,
                missing=found.missing | measured.missing,
            )
            progress.advance(note=name)
    return found
