"""evaluate: data/model + data/reference -> data/reports/metrics.json. Generates images and scores them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines import catalogue
from pipelines.core import backend, files, grids, reports, rows
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.evaluation import page, summary
from pipelines.metrics import neighbours
from pipelines.metrics.base import MOST_ROWS, Comparison
from pipelines.metrics.inputs import Benchmark
from pipelines.registry import sampler
from pipelines.scoring import benchmark, generated, readings, scores
from pipelines.scoring.scores import Scores
from pipelines.settings.schema import Params
from pipelines.stage import main

COLUMNS = 12  # images of a class in the grids of samples and real rows
NEAREST = 12  # generated images that are shown beside their nearest training rows
EXTREMES = 12  # generated images that a classifier told from real ones most surely, and as many that it did not


def run(project: Project, params: Params) -> None:
    backend.load()
    pinned, extractor = benchmark.read(project.reference)
    check_benchmark(project, pinned)
    model = sampler.load(project.model)

    first, count = params.evaluate.seed, params.evaluate.samples
    labels = generated.holdout_labels(pinned.labels, count) if model.conditional else None
    with_steps = catalogue.need_latent_steps(params.evaluate.metrics)
    images, samples = generated.generate_samples(model, extractor, pinned.id, first, count, labels, with_steps)
    comparison = generated.comparison(samples, pinned, project.approval)
    result = scores.measure(comparison, params.evaluate.metrics)

    pictures = {
        "samples": sample_grid(images, labels, pinned.classes),
        "real": real_grid(project, pinned),
        "neighbours": neighbour_grid(project, images, comparison),
    }
    told_apart = told_apart_grid(images, comparison) if "told_apart" in result.values else None
    files.write(project.reports / "told_apart.png", grids.png(told_apart or grids.note("not measured")))
    if told_apart is not None:
        pictures["told_apart"] = told_apart
    for name, picture in pictures.items():
        files.write(project.reports / f"{name}.png", grids.png(picture))
    files.write(project.reports / "classes.csv", class_table(result, pinned.classes))
    files.write(project.reports / "precision_recall.csv", page.trade_off_csv(comparison))
    training = read_history(project.reports / "training.csv")
    files.write(project.reports / "evaluation.html", page.render(result, comparison, pictures, training))
    scores.write(project.reports / "estimates.npz", result)
    generated.write(project.reports / generated.NAME, samples)
    reports.write(project.reports, "metrics", result.flat())
    print(f"evaluate: {len(images):,} images generated, benchmark {pinned.id}")
    for line in lines(result):
        print(f"evaluate: {line}")


def lines(result: Scores) -> Iterator[str]:
    """What people read of the scores at the terminal."""
    metrics = result.flat()
    yield from summary.headline(summary.find(metrics, readings.tables(result.tables)))
    for row in readings.rows(metrics):
        yield " ".join(row.fact())
    yield from result.missing.values()


def check_benchmark(project: Project, pinned: Benchmark) -> None:
    """Raises InputError where the benchmark is of other rows than are held out now."""
    held_out = rows.ids(project.clean, "holdout", origin="real")
    if pinned.ids is None or set(pinned.ids.tolist()) != held_out:
        raise InputError(
            f"benchmark {pinned.id} is of other rows than {project.relative(project.clean)} holds out now ({len(held_out):,}); "
            "run `reference` again (`genloop run`)"
        )


def read_history(path: Path) -> list[dict[str, str]]:
    """The lines of the training's curves."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown_rows(labels: np.ndarray) -> np.ndarray:
    """The numbers of the first rows of each class."""
    return np.concatenate([np.flatnonzero(labels == label)[:COLUMNS] for label in np.unique(labels[labels >= 0])])


def sample_grid(images: np.ndarray, labels: np.ndarray | None, classes: list[str]) -> Image.Image:
    """A row for each class; without classes, the first images."""
    if labels is None or not classes:
        return grids.grid(images[: COLUMNS * 10], COLUMNS)
    chosen = shown_rows(labels)
    return grids.by_class(images[chosen], labels[chosen], classes, COLUMNS)


def real_grid(project: Project, pinned: Benchmark) -> Image.Image:
    """Held-out rows in a grid like that of the samples."""
    assert pinned.ids is not None
    chosen = shown_rows(pinned.labels) if pinned.classes else np.arange(len(pinned.labels))[: COLUMNS * 10]
    return sample_grid(rows.load_images(project.clean, pinned.ids[chosen]), pinned.labels[chosen], pinned.classes)


def neighbour_grid(project: Project, images: np.ndarray, comparison: Comparison) -> Image.Image:
    """The generated images that are nearest to a training row, and below each that row."""
    assert comparison.benchmark.train is not None
    assert comparison.benchmark.train_ids is not None
    train = comparison.benchmark.train.vectors
    row, distance = neighbours.nearest(comparison.generated.vectors[:MOST_ROWS], train)
    nearest = np.argsort(distance)[:NEAREST]
    beside = rows.load_images(project.clean, comparison.benchmark.train_ids[row[nearest]])
    return grids.grid(np.concatenate([images[nearest], beside]), len(nearest), ["generated", "nearest training row"])


def told_apart_grid(images: np.ndarray, comparison: Comparison) -> Image.Image:
    """The generated images that were called generated most surely, and below them those that were least surely."""
    found = comparison.told_apart
    order = found.generated[np.argsort(-found.share, kind="stable")]
    shown = np.concatenate([order[:EXTREMES], order[::-1][:EXTREMES]])
    return grids.grid(images[shown], EXTREMES, ["gave themselves away", "passed"])


def class_table(result: Scores, classes: list[str]) -> str:
    """CSV: a line for each class, with its scores and their intervals."""
    text = io.StringIO()
    columns = [f"{title}{end}" for title in result.tables for end in ("", "_low", "_high", "_ideal")]
    writer = csv.DictWriter(text, ["class", *columns])
    writer.writeheader()
    for name in classes if columns else ():
        line: dict[str, Any] = {"class": name}
        for title, table in result.tables.items():
            if name in table:
                low, high = table[name].interval
                line |= {
                    title: table[name].unbiased,
                    f"{title}_low": low,
                    f"{title}_high": high,
                    f"{title}_ideal": table[name].ideal,
                }
        writer.writerow(line)
    return text.getvalue()


if __name__ == "__main__":
    main(run)
