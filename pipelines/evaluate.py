"""evaluate: data/model + data/reference -> data/reports/metrics.json. Draws, and scores what was drawn."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core import approval, backend, benchmark, drawing, files, grids, paths, reports, rows, scores, stage, views
from pipelines.core.drawing import Drawer
from pipelines.core.errors import InputError
from pipelines.core.params import Params
from pipelines.core.scores import Scores
from pipelines.evaluation import page
from pipelines.features.base import Extractor, Features
from pipelines.metrics import neighbours
from pipelines.metrics.base import COMPARED, Trial
from pipelines.metrics.inputs import Benchmark, Drawn, Steps

SHOWN = 12  # images of a class in the sample grid
PATHS, EPSILON = 1_000, 0.05  # walked through the latent space, and the length of the step that is measured
NEAREST = 12  # drawn images that are shown beside their nearest training rows


def run(params: Params) -> None:
    backend.load()
    pinned, extractor = benchmark.read(paths.REFERENCE)
    current(pinned)
    model = drawing.load(paths.MODEL)

    seeds = params.evaluate.seed + np.arange(params.evaluate.samples)
    labels = like_the_holdout(pinned.labels, len(seeds)) if model.conditional else None
    images = model.draw(seeds, labels)
    steps = walk(model, extractor, seeds, labels) if "path_length" in params.evaluate.metrics else None
    features = extractor.extract(images)
    trial = Trial(Drawn(features, labels, steps, liked(features, images, labels, pinned)), pinned)
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


def liked(features: Features, images: np.ndarray, labels: np.ndarray | None, pinned: Benchmark) -> np.ndarray | None:
    """(n,) float64, how likely people like each of n images; None where it is not known what they like.

    Raises:
        InputError: it was learned from other features.
    """
    model = approval.read()
    if model is not None and model.benchmark_id != pinned.id:
        raise InputError(
            f"{paths.APPROVAL} goes by the features of benchmark {model.benchmark_id}, but the benchmark is {pinned.id}; "
            "run `approval` again (`genloop run`)"
        )
    return model.predict(views.of(features, images, labels, pinned.of_classes)) if model else None


def training() -> list[dict[str, str]]:
    """The lines of the training's curves."""
    with (paths.REPORTS / "training.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def walk(model: Drawer, extractor: Extractor, seeds: np.ndarray, labels: np.ndarray | None) -> Steps:
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
    drawn, train = trial.fake.vectors[0 : len(trial.fake)], trial.benchmark.train.vectors
    row, distance = neighbours.nearest(drawn[:COMPARED], train)
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
    stage.main(run)
