"""reference: data/clean -> data/reference. Pins the benchmark: a feature extractor, the holdout's features, and their id."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend, files, paths, reports, rows, shards
from pipelines.features.base import Settings
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark
from pipelines.settings.schema import Params
from pipelines.stage import main

MOST_TRAIN = 50_000  # training rows whose features are kept for the floor


def run(params: Params) -> None:
    classes = shards.classes(paths.CLEAN)
    train = rows.load(paths.CLEAN, "train", origin="real")
    holdout = rows.load(paths.CLEAN, "holdout", origin="real")
    print(f"reference: {params.reference.extractor} on {len(train):,} real rows, {len(holdout):,} held out")

    backend.load()
    settings = Settings(**params.reference.model_dump(exclude={"extractor"}))
    extractor = catalogue.get(catalogue.FEATURES, params.reference.extractor).fit(
        train.images, train.labels, len(classes), settings
    )
    some = np.argsort(train.ids)[:MOST_TRAIN]  # by content, so that the order of shards does not matter
    with files.replacing(paths.REFERENCE) as folder:
        extractor.save(folder)
        form = {**params.image.model_dump(), **params.clean.model_dump(include={"fit", "filter"}), "dtype": "float32"}
        pinned = Benchmark(
            benchmark.identity(folder, holdout.ids, params.reference.extractor, form),
            classes,
            extractor.extract(holdout.images),
            holdout.labels,
            extractor.extract(train.images[some]),
            extractor.of_classes,
            holdout.ids,
            train.ids[some],
        )
        benchmark.write(folder, pinned, params.reference.extractor, form)

    report: dict[str, Any] = {
        "benchmark_id": pinned.id,
        "extractor": params.reference.extractor,
        "how": extractor.how,
        "holdout": len(holdout),
    }
    named = holdout.labels >= 0
    if extractor.of_classes and pinned.holdout.probabilities is not None and named.any():
        guesses = pinned.holdout.probabilities[named].argmax(axis=1)
        report["accuracy"] = float(np.mean(guesses == holdout.labels[named]))
        print(f"reference: the extractor's accuracy on the holdout is {report['accuracy']:.1%}")
    reports.write("reference", report)
    print(f"reference: benchmark {pinned.id}, {extractor.how}")


if __name__ == "__main__":
    main(run)
