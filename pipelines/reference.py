"""reference: data/clean -> data/reference. Pins the benchmark: a feature extractor, the holdout's features, and their id.

To an extractor that learns from the data, the images that it learned from are unlike all others. So some training rows are
kept from it: what an ideal model would generate is like these, not like the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend, files, reports, rows, shards
from pipelines.core.project import Project
from pipelines.features.base import ExtractorSettings
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark, views
from pipelines.settings.schema import Params
from pipelines.stage import main

MOST_TRAIN = 50_000  # training rows whose features are kept
UNSEEN, MOST_UNSEEN = 1 / 5, 10_000  # share of the training rows that is kept from an extractor that learns, and most of them
LEAST_UNSEEN = 50  # fewer serve no metric


def run(project: Project, params: Params) -> None:
    classes = shards.classes(project.clean)
    train = rows.load(project.clean, "train", origin="real")
    holdout = rows.load(project.clean, "holdout", origin="real")
    print(f"reference: {params.reference.extractor} on {len(train):,} real rows, {len(holdout):,} held out")

    backend.load()
    settings = ExtractorSettings(**params.reference.model_dump(exclude={"extractor"}), downloads=project.downloads)
    kind = catalogue.get(catalogue.FEATURES, params.reference.extractor)
    if settings.weights and ("/" in settings.weights or not kind.of_presets):  # a preset's name has no slash
        settings = replace(settings, weights=files.absolute(settings.weights, project.root))
    unseen = choose_unseen(train.ids, train.labels) if kind.learns else np.ones(len(train), bool)
    fit_rows = ~unseen if kind.learns else unseen
    extractor = kind.fit(train.images[fit_rows], train.labels[fit_rows], len(classes), settings)
    stored = choose_stored(train.ids, unseen)
    pixel_rows = views.pixel_rows(len(holdout))
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
            ~unseen[stored] if kind.learns else None,
            views.pixels(holdout.images[pixel_rows]),
            holdout.labels[pixel_rows],
            holdout.ids,
            train.ids[stored],
        )
        benchmark.write(folder, pinned, params.reference.extractor, form)

    report: dict[str, Any] = {
        "benchmark_id": pinned.id,
        "extractor": params.reference.extractor,
        "how": extractor.description,
        "holdout": len(holdout),
        "learned_from": int(np.count_nonzero(~unseen)),
        "not_learned_from": int(np.count_nonzero(unseen)),
    }
    named = holdout.labels >= 0
    if extractor.of_classes and pinned.holdout.probabilities is not None and named.any():
        guesses = pinned.holdout.probabilities[named].argmax(axis=1)
        report["accuracy"] = float(np.mean(guesses == holdout.labels[named]))
        print(f"reference: the extractor's accuracy on the holdout is {report['accuracy']:.1%}")
    reports.write(project.reports, "reference", report)
    kept = f"; {report['not_learned_from']:,} training rows were kept from it" if kind.learns else ""
    print(f"reference: benchmark {pinned.id}, {extractor.description}{kept}")


def choose_unseen(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: the training rows with these row_ids and labels (n,) int32 that are kept from the extractor.

    By a hash that has nothing to do with the one by which rows are held out: a fifth of them, at most MOST_UNSEEN, and at most
    half of any class, so that no class vanishes. None where they would be too few to serve any metric.
    """
    hashes = np.array([int(hashlib.sha256(f"unseen{row_id}".encode()).hexdigest()[:13], 16) for row_id in ids.tolist()])
    order = np.argsort(hashes, kind="stable")
    candidates = np.zeros(len(ids), bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        candidates[of_class[: len(of_class) // 2]] = True
    chosen = order[(candidates & (hashes < UNSEEN * 16**13))[order]][:MOST_UNSEEN]
    unseen = np.zeros(len(ids), bool)
    unseen[chosen] = len(chosen) >= LEAST_UNSEEN
    return unseen


def choose_stored(ids: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """(t,) int, the training rows whose features are kept, at most MOST_TRAIN: all unseen ones, then by row_id, so that the
    order of shards does not matter."""
    names = ids.astype(str)
    chosen = np.lexsort((names, ~unseen))[:MOST_TRAIN]
    return chosen[np.argsort(names[chosen])]


if __name__ == "__main__":
    main(run)
