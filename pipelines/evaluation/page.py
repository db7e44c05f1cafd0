"""The page of the evaluation: whether the model is good and what is wrong with it; opens, styled, without a network."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from pipelines import catalogue
from pipelines.core import grids
from pipelines.evaluation import plots, summary
from pipelines.metrics.base import NEIGHBOURS, Trial
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.precision_recall import LEAST
from pipelines.scoring.scores import Scores

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
POINTS = 200  # most points of a curve


# What a score tells.
SCORES = {
    "fid": "How far the drawn images as a whole are from real ones: blur, artefacts, missing variety raise it.",
    "fid_floor": "A yardstick for fid, not a score of the model: what real training images get.",
    "fid_infinity": "What fid would be with endlessly many drawn images, however many were drawn.",
    "kid": "Another distance, fair with few images: about 0, or just below, if both kinds cannot be told apart.",
    "inception_score": "Whether each image clearly shows one class, and all classes occur; at most their number.",
    "precision": "Share of drawn images that look like some real one: how good single images are.",
    "recall": "Share of real images that look like some drawn one: how much of their variety the model has.",
    "density": "How closely real images surround the drawn ones; about 1 for real images themselves.",
    "coverage": "Share of real images that have a drawn one close by: variety again, not fooled by strays.",
    "path_length": "How evenly images change while the model's random input moves a little; jumps raise it.",
    "memorisation": "Share of drawn images nearer to a training image than to an unseen one; more hints at copies.",
    "class_accuracy": "Share of drawn images in which a classifier sees the class that was asked for.",
    "approval": "How likely people like a drawn image, says a model that learned from their votes and choices.",
}
GOALS = {"memorisation": "near 0.5"}  # where neither lower nor higher is better

CLASS_SCORES = {"class_fids": "lower", "class_accuracies": "higher"}  # the first one that there is says which class is worst

TILES = ("precision", "recall", "coverage", "class_accuracy", "memorisation", "approval")
DISTANCES = ("fid", "fid_floor", "fid_infinity")  # of one scale


def render(found: Scores, trial: Trial, pictures: dict[str, Image.Image], training: list[dict[str, str]]) -> str:
    """HTML. `pictures`: samples, real, neighbours. `training`: the lines of training.csv."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    tables = {title: found.tables[title] for title in sorted(found.tables, key=[*CLASS_SCORES, *found.tables].index)}
    environment.filters |= {"number": plots.number, "said": plots.said, "times": summary.times, "words": words}
    return environment.get_template("evaluation.html").render(
        title="Genloop: the evaluation",
        found=found,
        values=found.values,
        ratio=summary.ratio(found.values),
        headline=summary.headline(found.values),
        remarks=summary.remarks(found),
        tiles=[name for name in TILES if name in found.values],
        meanings={name: (better(name), SCORES.get(name, "")) for name in found.values},
        bars=bars(found.values),
        class_scores=CLASS_SCORES,
        tables=tables,
        classes=by_class(tables),
        pictures={name: encode(picture) for name, picture in pictures.items()},
        trade=trade_off_plot(trial),
        curves=curves(training),
    )


def trade_off(trial: Trial) -> str:
    """CSV: a line for each size of neighbourhood; none where there are too few rows."""
    return "".join(["neighbours,precision,recall\n", *(f"{k},{precision},{recall}\n" for k, precision, recall in trade(trial))])


def trade(trial: Trial) -> list[tuple[int, float, float]]:
    if min(len(trial.fake), len(trial.real)) < LEAST:
        return []
    precisions = (trial.membership.drawn_in_real > 0).mean(axis=1)
    return list(zip(NEIGHBOURS, precisions.tolist(), trial.membership.real_in_drawn.mean(axis=1).tolist(), strict=True))


def better(name: str) -> str:
    """What is better of a score, in a word."""
    return GOALS.get(name) or catalogue.SCORES.get(name, "")


def encode(picture: Image.Image) -> str:
    return base64.b64encode(grids.png(picture)).decode()


def words(name: str) -> str:
    return name.replace("_", " ")


def bars(values: dict[str, Estimate]) -> dict[str, plots.Bar]:
    distances = [values[name] for name in DISTANCES if name in values]
    return {
        name: plots.bar(estimate, plots.scale(distances if name in DISTANCES else [estimate]))
        for name, estimate in values.items()
    }


def by_class(tables: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, tuple[Estimate, plots.Bar]]]:
    """class -> table -> its figure. The worst class comes first, by the first table that tells; the next one breaks ties."""
    scales = {title: plots.scale(table.values()) for title, table in tables.items()}

    def badness(name: str) -> list[float]:
        signs = {"lower": 1, "higher": -1}
        return [
            signs[better] * tables[title][name].value if name in tables[title] else -math.inf
            for title, better in CLASS_SCORES.items()
            if title in tables
        ]

    names = dict.fromkeys(name for table in tables.values() for name in table)
    return {
        name: {title: (table[name], plots.bar(table[name], scales[title])) for title, table in tables.items() if name in table}
        for name in sorted(names, key=badness, reverse=True)
    }


def trade_off_plot(trial: Trial) -> plots.Plot | None:
    rows = trade(trial)
    if not rows:
        return None
    points = [(r, p, f"{k} neighbours: precision {p:.3f}, recall {r:.3f}") for k, p, r in rows]
    drawn = plots.plot(points, (0, 1), (0, 1), width=340, height=300)
    return plots.labelled(drawn, [f"k = {rows[0][0]}", *(str(k) for k, _, _ in rows[1:])])


def curves(training: list[dict[str, str]]) -> dict[str, plots.Plot]:
    """A plot for every loss and for the spread."""
    drawn = {}
    for name in dict.fromkeys(key for line in training for key in line):
        if name in ("step", "images_per_second"):
            continue
        course = [(float(line["step"]), float(line[name])) for line in training if line.get(name)]
        course = [(step, value) for step, value in course if math.isfinite(value)]
        if not course:
            continue
        chosen = np.unique(np.linspace(0, len(course) - 1, POINTS).astype(int))
        points = [(*course[i], f"step {course[i][0]:,.0f}: {plots.number(course[i][1])}") for i in chosen]
        steps, values = zip(*course, strict=True)
        y = plots.roomy([*values, 0.0, 1.0] if name == "spread" else values)
        drawn[name] = plots.plot(points, (min(0.0, steps[0]), steps[-1]), y, width=300, height=130)
    return drawn
