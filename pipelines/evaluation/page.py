"""The page of the evaluation: how good the model is, and what is wrong with it. It opens, styled, without a network."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from pipelines import catalogue
from pipelines.core import grids
from pipelines.core.numbers import three_digits
from pipelines.evaluation import summary
from pipelines.metrics import precision_recall
from pipelines.metrics.base import NEIGHBOURS, Comparison
from pipelines.metrics.intervals import Estimate
from pipelines.scoring import plots, readings
from pipelines.scoring.readings import Reading
from pipelines.scoring.scores import Scores

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
POINTS = 200  # most points of a curve

TILES = ("told_apart", "fid", "precision", "recall", "coverage", "class_accuracy", "memorisation", "approval")
DISTANCES = ("fid", "fid_infinity", "fid_preferred")  # of one scale


def render(result: Scores, comparison: Comparison, pictures: dict[str, Image.Image], training: list[dict[str, str]]) -> str:
    """HTML.

    pictures: samples, real, neighbours, and told_apart where it was measured. training: the lines of training.csv.
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    declared = catalogue.scores()
    # Distances come first: the first table says which class is worst.
    titles = sorted(result.tables, key=lambda title: declared[title].better != "lower")
    tables = {title: result.tables[title] for title in titles}
    environment.filters |= {"title": title, "reading": Reading.of}
    metrics = result.flat()
    findings = summary.find(metrics, readings.tables(tables))
    return environment.get_template("evaluation.html").render(
        title="Genloop: the evaluation",
        result=result,
        rows=readings.rows(metrics),
        sentences=[(sentence.colour, sentence.text(findings)) for sentence in summary.sentences(findings)],
        scores=findings.scores,
        tiles=[(readings.unbiased_key(name), findings.scores[name]) for name in TILES if name in findings.scores],
        elsewhere=readings.elsewhere(metrics, "fid"),
        declared=declared,
        bars=bars(result.values),
        tables=tables,
        classes=class_rows(tables),
        pictures={name: base64_png(picture) for name, picture in pictures.items()},
        trade=trade_off_plot(comparison),
        curves=curves(training),
    )


def trade_off_csv(comparison: Comparison) -> str:
    """CSV: a line for each size of neighbourhood; no line where there are too few rows."""
    lines = (f"{k},{precision},{recall}\n" for k, precision, recall in trade_off(comparison))
    return "".join(["neighbours,precision,recall\n", *lines])


def trade_off(comparison: Comparison) -> list[tuple[int, float, float]]:
    if min(len(comparison.generated), len(comparison.real)) < precision_recall.SCORES[0].least_rows:
        return []
    precisions = (comparison.membership.generated_in_real > 0).mean(axis=1)
    return list(
        zip(NEIGHBOURS, precisions.tolist(), comparison.membership.real_in_generated.mean(axis=1).tolist(), strict=True)
    )


def base64_png(picture: Image.Image) -> str:
    return base64.b64encode(grids.png(picture)).decode()


def title(name: str) -> str:
    return name.replace("_", " ")


def bars(values: dict[str, Estimate]) -> dict[str, plots.IntervalBar]:
    distances = [values[name] for name in DISTANCES if name in values]
    return {
        name: plots.bar(estimate, plots.scale(distances if name in DISTANCES else [estimate]))
        for name, estimate in values.items()
    }


def class_rows(tables: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, tuple[Estimate, plots.IntervalBar]]]:
    """class -> table -> its score. The worst class comes first, by the first table that has it; the next table breaks ties."""
    scales = {title: plots.scale(table.values()) for title, table in tables.items()}

    def badness(name: str) -> list[float]:
        signs = {"lower": 1, "higher": -1, "": 0}
        declared = catalogue.scores()
        return [
            signs[declared[title].better] * table[name].unbiased if name in table else -math.inf
            for title, table in tables.items()
        ]

    names = dict.fromkeys(name for table in tables.values() for name in table)
    return {
        name: {title: (table[name], plots.bar(table[name], scales[title])) for title, table in tables.items() if name in table}
        for name in sorted(names, key=badness, reverse=True)
    }


def trade_off_plot(comparison: Comparison) -> plots.Plot | None:
    rows = trade_off(comparison)
    if not rows:
        return None
    points = [(r, p, f"{k} neighbours: precision {three_digits(p)}, recall {three_digits(r)}") for k, p, r in rows]
    plot = plots.plot(points, (0, 1), (0, 1), width=340, height=300)
    return plots.with_labels(plot, [f"k = {rows[0][0]}", *(str(k) for k, _, _ in rows[1:])])


def curves(training: list[dict[str, str]]) -> dict[str, plots.Plot]:
    """A plot for every column of training.csv."""
    courses = {}
    for name in dict.fromkeys(key for line in training for key in line):
        if name in ("step", "images_per_second"):
            continue
        course = [(float(line["step"]), float(line[name])) for line in training if line.get(name)]
        course = [(step, value) for step, value in course if math.isfinite(value)]
        if not course:
            continue
        chosen = np.unique(np.linspace(0, len(course) - 1, POINTS).astype(int))
        points = [(*course[i], f"step {course[i][0]:,.0f}: {three_digits(course[i][1])}") for i in chosen]
        steps, values = zip(*course, strict=True)
        y = plots.padded_range([*values, 0.0, 1.0] if name == "spread" else values)
        courses[name] = plots.plot(points, (min(0.0, steps[0]), steps[-1]), y, width=300, height=130)
    return courses
