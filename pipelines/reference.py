"""reference: data/clean -> data/reference. Pins the benchmark: a feature extractor, the holdout's features, and their id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend, files, reports, rows, shards
from pipelines.core.project import Project
from pipelines.features.base import ExtractorSettings
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark
from pipelines.settings.schema import Params
from pipelines.stage import main

MOST_TRAIN = 50_000  # training rows whose features are kept, for the floor of FID


def run(project: Project, params: Params) -> None:
    classes = shards.classes(project.clean)
    train = rows.load(project.clean, "train", origin="real")
    holdout = rows.load(project.clean, "holdout", origin="real")
    print(f"reference: {params.reference.extractor} on {len(train):,} real rows, {len(holdout):,} held out")

    backend.load()
    settings = ExtractorSettings(**params.reference.model_dump(exclude={"extractor"}), downloads=project.downloads)
    if settings.weights:
        settings = replace(settings, weights=files.absolute(settings.weights, project.root))
    extractor = catalogue.get(catalogue.FEATURES, params.reference.extractor).fit(
        train.images, train.labels, len(classes), settings
    )
    stored = np.argsort(train.ids)[:MOST_TRAIN]  # by content, so that the order of shards does not matter
    with files.replacement(project.reference) as folder:
        extractor.save(folder)
        form = {**params.image.model_dump(), **params.clean.model_dump(include={"fit", "filter"}), "dtype": "float32"}
        pinned = Benchmark(
            benchmark.benchmark_id(folder, holdout.ids, params.reference.extractor, form),
            classes,
            extractor.extract(holdout.images),
            holdout.labels,
            extractor.extract(train.images[stored]),
            extractor.of_classes,
            holdout.ids,
            train.ids[stored],
        )
        benchmark.write(folder, pinned, params.reference.extractor, form)

    report: dict[str, Any] = {
        "benchmark_id": pinned.id,
        "extractor": params.reference.extractor,
        "how": extractor.description,
        "holdout": len(holdout),
    }
    named = holdout.labels >= 0
    if extractor.of_classes and pinned.holdout.probabilities is not None and named.any():
        guesses = pinned.holdout.probabilities[named].argmax(axis=1)
        report["accuracy"] = float(np.mean(guesses == holdout.labels[named]))
        print(f"reference: the extractor's accuracy on the holdout is {report['accuracy']:.1%}")
    reports.write(project.reports, "reference", report)
    print(f"reference: benchmark {pinned.id}, {extractor.description}")


if __name__ == "__main__":
    main(run)
