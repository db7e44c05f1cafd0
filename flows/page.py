"""What a run made, on its page in Prefect."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image
from prefect.artifacts import create_image_artifact, create_table_artifact

from pipelines.core import paths, reports

SIDE = 480  # pixels; the page shows it in a column


def show_results() -> None:
    metrics = paths.REPORTS / "metrics.json"
    if metrics.is_file():
        rows = [{"metric": name, "value": str(value)} for name, value in reports.read("metrics").items()]
        create_table_artifact(table=rows, key="metrics", description="Scores of the model that this run made or found")
    samples = paths.REPORTS / "samples.png"
    if samples.is_file():
        create_image_artifact(image_url=inline(samples), key="samples", description="What it draws")


def inline(path: Path) -> str:
    """The picture inside its address: the server that shows the page cannot read our files."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
