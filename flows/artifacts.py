"""Prefect artifacts: the results of a run, shown on its page."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_table_artifact

from pipelines.core import reports, timestamps
from pipelines.core.numbers import four_digits
from pipelines.core.project import Project
from pipelines.promotion.decisions import Decision, summary, table_rows
from pipelines.registry.client import Registry

SIDE = 480  # pixels; the page shows it in a column


def show_results(project: Project) -> None:
    if (project.reports / "metrics.json").is_file():
        scores = score_table(reports.read(project.reports, "metrics"))
        create_table_artifact(table=scores, key="metrics", description="Scores of the newest model")
    samples = project.reports / "samples.png"
    if samples.is_file():
        create_image_artifact(image_url=data_url(samples), key="samples", description="Images that it generates")


def score_table(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """A line for each score, its interval beside it."""
    rows = []
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")):
            continue
        ends = [metrics[f"{name}{end}"] for end in ("_low", "_high") if f"{name}{end}" in metrics]
        shown = four_digits(value) if isinstance(value, float) else str(value)
        rows.append({"metric": name, "value": shown, "95 % interval": " to ".join(map(four_digits, ends))})
    return rows


def show_decision(registry: Registry, decision: Decision) -> None:
    """The verdict of the gate, and what both versions generate from the same seeds."""
    create_table_artifact(table=rule_table(decision), key="verdict", description=summary(decision))
    for role, number in (("challenger", decision.challenger), ("champion", decision.champion)):
        if number is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            grid = registry.artifact(registry.version(number), "samples.png", Path(folder))
            if grid:
                about = f"What version {number} generates, the {role}"
                create_image_artifact(image_url=data_url(grid), key=f"samples-{role}", description=about)


def show_history(project: Project, registry: Registry) -> None:
    """Every move of the champion, newest first."""
    from pipelines.promotion import history

    table = [
        {
            "at": timestamps.minutes(move.at),
            "from": str(move.from_ or "none"),
            "to": str(move.to or "none"),
            "by": move.by,
            "verdict": move.kind,
            "reason": move.reason,
        }
        for move in reversed(history.moves(project, registry))
    ]
    create_table_artifact(table=table, key="history", description=f"Champions of {registry.name}")


def rule_table(decision: Decision) -> list[dict[str, str]]:
    """A line for each rule, with its reason."""
    return [{**row, "why": why} for row, why in zip(table_rows(decision), decision.why, strict=True)]


def markdown(decision: Decision) -> str:
    """The verdict as Markdown, for the form that asks a person to approve."""
    table = rule_table(decision)
    lines = [list(table[0]), ["---"] * len(table[0]), *(list(row.values()) for row in table)] if table else []
    return "\n".join([summary(decision), "", *(f"| {' | '.join(line)} |" for line in lines)])


def data_url(path: Path) -> str:
    """The image as a data: URL, because the server that shows the page cannot read our files."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
