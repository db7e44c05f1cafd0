"""Stage reports: what a stage did, as JSON that people, `dvc metrics` and the flow's page read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pipelines.core import files


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Write `<name>.json`. A number that is not finite is our mistake or a diverged run: it never gets in."""
    for key, value in content.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {key} is {value}")
    path = folder / f"{name}.json"
    files.write(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read(folder: Path, name: str) -> dict[str, Any]:
    """Raises InputError where the stage that writes this report has not run."""
    path = folder / f"{name}.json"
    with files.content_errors(path, "report", "the stage that writes it has not run (`genloop run`)"):
        return json.loads(path.read_text(encoding="utf-8"))


def row_counts(rows_in: int, rows_out: int, refused: dict[str, int]) -> dict[str, Any]:
    """The part of a report that every data stage has: no row vanishes."""
    assert rows_in == rows_out + sum(refused.values()), (rows_in, rows_out, refused)
    return {"rows_in": rows_in, "rows_out": rows_out, "refused": refused}
