"""The page of the approval model: what it prefers and how accurate it is; opens, styled, without a network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipelines.core import grids
from pipelines.core.numbers import three_digits
from pipelines.preference.accuracy import ReliabilityBin
from pipelines.scoring import plots

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
WIDTH, HEIGHT = 340, 300  # of the plot
COLUMNS = 12  # of a strip


@dataclass(frozen=True)
class Whisker:
    """An interval, from `low` to `high` on the page."""

    x: float
    low: float
    high: float


def render(report: dict[str, Any], bins: list[ReliabilityBin], strips: dict[str, np.ndarray]) -> str:
    """HTML. `report`: approval.json. `strips`: images that are liked most and least, by `real` and `samples`."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters |= {"number": three_digits, "percent": "{:.0%}".format}
    plot = reliability(bins)
    return environment.get_template("approval.html").render(
        title="Genloop: what people like",
        report=report,
        tenth=float(np.exp(report["strength"] / 10)),
        order=order(report["auc"], report["auc_low"], report["auc_high"]) if "auc" in report else "",
        plot=plot,
        whiskers=[whisker(line, plot) for line in bins],
        corners=[plots.position(end, (0, 1), plot.bottom, plot.top) for end in (0, 1)],
        bins=bins,
        strips={name: base64.b64encode(grids.png(grids.grid(shown, COLUMNS))).decode() for name, shown in strips.items()},
    )


def order(auc: float, low: float, high: float) -> str:
    """How good the model is, in words."""
    return f"what people prefer is put first in {100 * auc:.0f} of 100 cases (95% interval {100 * low:.0f} to {100 * high:.0f})"


def reliability(bins: list[ReliabilityBin]) -> plots.Plot:
    """Observed over predicted, both from 0 to 1."""
    titles = [
        f"predicted {one.predicted:.0%}, observed {one.observed:.0%} (95% interval {one.low:.0%} to {one.high:.0%}), "
        f"{one.count:,} judgements"
        for one in bins
    ]
    points = [(one.predicted, one.observed, title) for one, title in zip(bins, titles, strict=True)]
    return plots.plot(points, (0, 1), (0, 1), WIDTH, HEIGHT)


def whisker(line: ReliabilityBin, plot: plots.Plot) -> Whisker:
    low, high = (plots.position(end, (0, 1), plot.bottom, plot.top) for end in (line.low, line.high))
    return Whisker(plots.position(line.predicted, (0, 1), plot.left, plot.right), low, high)
