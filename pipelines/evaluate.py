"""evaluate: data/model + data/reference -> data/reports/metrics.json. Draws, and scores what was drawn."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend, benchmark, drawing, files, grids, paths, reports, stage
from pipelines.core.errors import GenloopError
from pipelines.core.params import Params
from pipelines.metrics.base import Benchmark, Drawn

SHOWN = 12  # images of a class in the sample grid


def run(params: Params) -> None:
    backend.load()
    pinned, extractor = benchmark.read(paths.REFERENCE)
    model = drawing.load(paths.MODEL)

    seeds = params.evaluate.seed + np.arange(params.evaluate.samples)
    labels = like_the_holdout(pinned.labels, len(seeds)) if model.conditional else None
    images = model.draw(seeds, labels)
    drawn = Drawn(extractor.extract(images), labels)
    scores, tables = measure(drawn, pinned, params.evaluate.metrics)

    files.write(paths.REPORTS / "samples.png", grids.png(picture(images, labels, pinned.classes)))
    text = io.StringIO()
    rows = ({"class": name, **{title: table.get(name) for title, table in tables.items()}} for name in pinned.classes)
    writer = csv.DictWriter(text, ["class", *tables])
    writer.writeheader()
    writer.writerows(rows if tables else ())
    files.write(paths.REPORTS / "classes.csv", text.getvalue())
    reports.write("metrics", {**scores, "benchmark_id": pinned.id, "samples": len(images)})
    print(f"evaluate: {len(images):,} images drawn, benchmark {pinned.id}")
    print("evaluate: " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items()))


def like_the_holdout(labels: np.ndarray, count: int) -> np.ndarray:
    """(count,) int32: the classes of the held-out rows in their shares, in order."""
    named = np.sort(labels[labels >= 0])
    return named[(np.arange(count) + 0.5).astype(int) * len(named) // count] if len(named) else np.zeros(count, np.int32)


def picture(images: np.ndarray, labels: np.ndarray | None, classes: list[str]) -> Any:
    """The sample grid: a row a class, or simply the first images."""
    if labels is None or not classes:
        return grids.grid(images[: SHOWN * 10], SHOWN)
    some = np.concatenate([np.flatnonzero(labels == label)[:SHOWN] for label in np.unique(labels)])
    return grids.by_class(images[some], labels[some], classes, SHOWN)


def measure(drawn: Drawn, pinned: Benchmark, names: list[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Values, and tables by class, of the metrics that params.yaml asks for."""
    found: dict[str, Any] = {}
    for name in names:
        found |= catalogue.get(catalogue.METRICS, name)(drawn, pinned)
    scores = {name: value for name, value in found.items() if not isinstance(value, dict)}
    for name, value in scores.items():
        if not np.isfinite(value):
            raise GenloopError(f"{name} is {value}: the drawn images or their features are not sound; train again")
    return scores, {name: value for name, value in found.items() if isinstance(value, dict)}


if __name__ == "__main__":
    stage.main(run)
