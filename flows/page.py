"""What a run made, on its page in Prefect."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_table_artifact

from pipelines.core import paths, reports

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


def inline(path: Path) -> str:
    """The picture inside its address: the server that shows the page cannot read our files."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
