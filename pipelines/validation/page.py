"""The page of the data: one HTML file that needs no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from pipelines.core import grids
from pipelines.core.facts import Facts
from pipelines.core.numbers import three_digits
from pipelines.validation.conflicts import LabelConflicts
from pipelines.validation.expectations import CheckedExpectation

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
WIDTH, HEIGHT, BINS = 300, 80, 40


@dataclass(frozen=True)
class SourceSplit:
    """The rows of one split that a source names. kept: the split of data/clean that they have by that, None for any."""

    source: str
    name: str
    kept: str | None
    rows: int


def render(
    facts: Facts,
    classes: list[str],
    findings: list[CheckedExpectation],
    pictures: dict[int, Any],
    conflicts: LabelConflicts,
    splits: list[SourceSplit],
    refused: int,
) -> str:
    """HTML. `pictures` maps a label (-1 for none) to a Pillow image that shows some of its rows."""
    counts = {label: int((facts["label"] == label).sum()) for label in [*range(len(classes)), -1]}
    most = max(counts.values(), default=0) or 1
    modes, shares = np.unique(facts["mode"], return_counts=True)
    failed = [f for f in findings if not f.passed]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template("data.html").render(
        title="Genloop: the data",
        rows=len(facts),
        refused=refused,
        copies=len(facts) - len(np.unique(facts["id"])),
        classes=classes,
        unlabelled=counts[-1],
        findings=findings,
        failed=failed,
        broken=sum(f.hard for f in failed),
        warned=sum(not f.hard for f in failed),
        classes_shown=[
            {
                "name": classes[label] if label >= 0 else "no label",
                "rows": rows,
                "percent": round(100 * rows / most, 1),
                "picture": in_page(pictures[label]) if label in pictures else None,
            }
            for label, rows in counts.items()
            if label >= 0 or rows
        ],
        conflicts=[(in_page(conflict.strip), conflict) for conflict in conflicts.shown],
        conflicts_total=conflicts.total,
        splits=splits,
        plots=[
            histogram(name, unit, facts[name])
            for name, unit in (
                ("brightness", "mean grey, 0 to 255"),
                ("contrast", "standard deviation of the greys"),
                ("sharpness", "standard deviation of the Laplacian"),
                ("width", "pixels"),
                ("height", "pixels"),
            )
            if len(facts)
        ],
        modes=[(mode.decode(), int(n)) for mode, n in zip(modes, shares, strict=True)],
    )


def in_page(picture: Image.Image) -> str:
    """The PNG as the page holds it."""
    return base64.b64encode(grids.png(picture)).decode()


def histogram(name: str, unit: str, values: np.ndarray) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins=BINS)
    tall = counts / max(counts.max(), 1) * HEIGHT
    step = WIDTH / BINS
    return {
        "name": name,
        "unit": unit,
        "width": WIDTH,
        "height": HEIGHT,
        "low": three_digits(values.min()),
        "high": three_digits(values.max()),
        "bars": [
            {
                "x": round(i * step, 2),
                "y": round(HEIGHT - tall[i], 2),
                "width": round(step - 1, 2),
                "height": round(tall[i], 2),
                "title": f"{three_digits(edges[i])} to {three_digits(edges[i + 1])}: {counts[i]:,}",
            }
            for i in range(BINS)
            if counts[i]
        ],
    }
