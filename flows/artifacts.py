"""What a run made, on its page in Prefect."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_table_artifact

from pipelines.core import paths, reports
from pipelines.promotion.decisions import Decision, rows, words
from pipelines.registry import client
from pipelines.settings.schema import Params

SIDE = 480  # pixels; the page shows it in a column


def show_results() -> None:
    metrics = paths.REPORTS / "metrics.json"
    if metrics.is_file():
        create_table_artifact(
            table=table(reports.read("metrics")), key="metrics", description="Scores of the model that this run made or found"
        )
    samples = paths.REPORTS / "samples.png"
    if samples.is_file():
        create_image_artifact(image_url=inline(samples), key="samples", description="What it draws")


def table(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """A line for each score, its interval beside it."""
    rows = []
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")):
            continue
        ends = [metrics[f"{name}{end}"] for end in ("_low", "_high") if f"{name}{end}" in metrics]
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        rows.append({"metric": name, "value": shown, "95 % interval": " to ".join(f"{end:.4g}" for end in ends)})
    return rows


def show_decision(params: Params, decision: Decision) -> None:
    """What the gate said, and what both versions draw from the same seeds."""
    create_table_artifact(table=table_of(decision), key="verdict", description=words(decision))
    for role, number in (("challenger", decision.challenger), ("champion", decision.champion)):
        if number is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            grid = client.artifact(client.version(params, number), "samples.png", Path(folder))
            if grid:
                about = f"What version {number} draws, the {role}"
                create_image_artifact(image_url=inline(grid), key=f"samples-{role}", description=about)


def show_history(params: Params) -> None:
    """All that was ever champion, newest first."""
    from pipelines.promotion import history

    table = [
        {
            "at": f"{move.at:%Y-%m-%d %H:%M} UTC",
            "from": str(move.from_ or "none"),
            "to": str(move.to or "none"),
            "by": move.by,
            "verdict": move.verdict,
            "reason": move.reason,
        }
        for move in reversed(history.moves(params))
    ]
    create_table_artifact(table=table, key="history", description=f"Champions of {params.registry.model}")


def table_of(decision: Decision) -> list[dict[str, str]]:
    """A line for each rule, with its reason."""
    return [{**row, "why": why} for row, why in zip(rows(decision), decision.why, strict=True)]


def markdown(decision: Decision) -> str:
    """The verdict above the form that asks for a yes."""
    table = table_of(decision)
    lines = [list(table[0]), ["---"] * len(table[0]), *(list(row.values()) for row in table)] if table else []
    return "\n".join([words(decision), "", *(f"| {' | '.join(line)} |" for line in lines)])


def inline(path: Path) -> str:
    """The picture inside its address: the server that shows the page cannot read our files."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
