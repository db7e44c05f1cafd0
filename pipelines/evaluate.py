"""evaluate: data/model + data/reference -> data/reports/metrics.json. Draws, and scores what was drawn."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core import backend, files, grids, paths, reports, rows
from pipelines.core.errors import InputError
from pipelines.evaluation import page
from pipelines.metrics import neighbours
from pipelines.metrics.base import COMPARED, Trial
from pipelines.metrics.inputs import Benchmark
from pipelines.registry import sampler
from pipelines.scoring import benchmark, generated, scores
from pipelines.scoring.scores import Scores
from pipelines.settings.schema import Params
from pipelines.stage import main

SHOWN = 12  # images of a class in the sample grid
NEAREST = 12  # drawn images that are shown beside their nearest training rows


def run(params: Params) -> None:
    backend.load()
    pinned, extractor = benchmark.read(paths.REFERENCE)
    current(pinned)
    model = sampler.load(paths.MODEL)

    first, count = params.evaluate.seed, params.evaluate.samples
    labels = generated.like_the_holdout(pinned.labels, count) if model.conditional else None
    walked = "path_length" in params.evaluate.metrics
    images, draws = generated.draw(model, extractor, pinned.id, first, count, labels, walked)
    trial = generated.trial(draws, pinned)
    found = scores.measure(trial, params.evaluate.metrics)

    pictures = {
        "samples": picture(images, labels, pinned.classes),
        "real": real(pinned),
        "neighbours": neighbouring(images, trial),
    }
    for name, shown in pictures.items():
        files.write(paths.REPORTS / f"{name}.png", grids.png(shown))
    files.write(paths.REPORTS / "classes.csv", by_class(found, pinned.classes))
    files.write(paths.REPORTS / "precision_recall.csv", page.trade_off(trial))
    files.write(paths.REPORTS / "evaluation.html", page.render(found, trial, pictures, training()))
    scores.write(paths.REPORTS / "estimates.npz", found)
    generated.write(paths.REPORTS / generated.NAME, draws)
    reports.write("metrics", found.flat())
    print(f"evaluate: {len(images):,} images drawn, benchmark {pinned.id}")
    for name, estimate in found.values.items():
        low, high = estimate.interval
        print(f"evaluate: {name} {estimate.value:.4g}, 95% interval {low:.4g} to {high:.4g}")
    for why in found.missing.values():
        print(f"evaluate: {why}")


def current(pinned: Benchmark) -> None:
    """Raises InputError where the benchmark is of other rows than are held out now."""
    held_out = rows.ids(paths.CLEAN, "holdout", origin="real")
    if pinned.ids is None or set(pinned.ids.tolist()) != held_out:
        raise InputError(
            f"benchmark {pinned.id} is of other rows than {paths.CLEAN} holds out now ({len(held_out):,}); "
            "run `reference` again (`genloop run`)"
        )


def training() -> list[dict[str, str]]:
    """The lines of the training's curves."""
    with (paths.REPORTS / "training.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def picture(images: np.ndarray, labels: np.ndarray | None, classes: list[str]) -> Image.Image:
    """The sample grid: a row a class, or simply the first images."""
    if labels is None or not classes:
        return grids.grid(images[: SHOWN * 10], SHOWN)
    some = np.concatenate([np.flatnonzero(labels == label)[:SHOWN] for label in np.unique(labels[labels >= 0])])
    return grids.by_class(images[some], labels[some], classes, SHOWN)


def real(pinned: Benchmark) -> Image.Image:
    """Held-out rows, laid out as the sample grid is."""
    labels = pinned.labels
    if pinned.classes:
        some = np.concatenate([np.flatnonzero(labels == label)[:SHOWN] for label in np.unique(labels[labels >= 0])])
    else:
        some = np.arange(len(labels))[: SHOWN * 10]
    assert pinned.ids is not None
    return picture(rows.find(paths.CLEAN, pinned.ids[some]), labels[some], pinned.classes)


def neighbouring(images: np.ndarray, trial: Trial) -> Image.Image:
    """The drawn images that are nearest to a training row, upper line, and that row below each."""
    assert trial.benchmark.train is not None
    assert trial.benchmark.train_ids is not None
    train = trial.benchmark.train.vectors
    row, distance = neighbours.nearest(trial.fake.vectors[:COMPARED], train)
    nearest = np.argsort(distance)[:NEAREST]
    beside = rows.find(paths.CLEAN, trial.benchmark.train_ids[row[nearest]])
    return grids.grid(np.concatenate([images[nearest], beside]), len(nearest), ["drawn", "nearest training row"])


def by_class(found: Scores, classes: list[str]) -> str:
    """CSV: a line for each class, with its figures and their intervals."""
    text = io.StringIO()
    columns = [f"{title}{end}" for title in found.tables for end in ("", "_low", "_high")]
    writer = csv.DictWriter(text, ["class", *columns])
    writer.writeheader()
    for name in classes if columns else ():
        line: dict[str, Any] = {"class": name}
        for title, table in found.tables.items():
            if name in table:
                low, high = table[name].interval
                line |= {title: table[name].value, f"{title}_low": low, f"{title}_high": high}
        writer.writerow(line)
    return text.getvalue()


if __name__ == "__main__":
    main(run)
