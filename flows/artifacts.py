"""Prefect artifacts: the results of a run, shown on its page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_table_artifact

from pipelines.core import reports, timestamps
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.evaluation import summary
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision, table_rows
from pipelines.registry.client import Registry
from pipelines.scoring import readings

SIDE = 480  # pixels; the page shows it in a column


def show_results(project: Project) -> None:
    if (project.reports / "metrics.json").is_file():
        metrics = reports.read(project.reports, "metrics")
        words = summary.headline(summary.read(project.reports))
        create_table_artifact(table=score_table(metrics), key="metrics", description=f"The newest model. {' '.join(words)}")
    samples = project.reports / "samples.png"
    if samples.is_file():
        create_image_artifact(image_url=data_url(samples), key="samples", description="Images that it generates")


def score_table(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """A line for each score, then what was measured and by what."""
    rows = [row.cells() for row in readings.rows(metrics)]
    about = {name: metrics[name] for name in ("samples", "benchmark_id") if name in metrics}
    blank = dict.fromkeys(rows[0] if rows else (), "")
    return [*rows, *({**blank, "score": name, "value": str(value)} for name, value in about.items())]


def show_decision(registry: Registry, decision: Decision) -> None:
    """The verdict of the gate, and what both versions generate from the same seeds."""
    create_table_artifact(table=rule_table(decision), key="verdict", description=decisions.summary(decision))
    for role, number in (("challenger", decision.challenger), ("champion", decision.champion)):
        if number is None:
            continue
        with TemporaryFolder() as folder:
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
    return "\n".join([decisions.summary(decision), "", *(f"| {' | '.join(line)} |" for line in lines)])


def data_url(path: Path) -> str:
    """The image as a data: URL, because the server that shows the page cannot read our files."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
