"""Jobs for trainers of the examples, run by hand as Genloop runs them: a folder with rows of a few shapes, and job.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import png, shards
from pipelines.settings import manifest
from tests.external.environment import EXAMPLES, ONE_THREAD

CLASSES = ["dark", "bright"]
COLUMNS = ("image", "label", "row_id", "origin", "generation", "weight", "split")


def write(folder: Path, example: str, preset: str, size: int = 8, **changes: Any) -> Path:
    """job.json in `folder`, for an example; 40 rows, of which those of `bright` have bright centres. changes: of job.json."""
    for name in ("data", "checkpoints", "result", "previews"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not list((folder / "data").iterdir()):
        write_rows(folder / "data" / "part-0.parquet", size, [1.0, 1.0])
    about = manifest.read(EXAMPLES / example)
    job = {
        "format": 1,
        "data": str(folder / "data"),
        "rows": 40,
        "classes": CLASSES,
        "prompts": {name: f"a picture of {name}" for name in CLASSES} if about.condition == "prompts" else None,
        "params": about.presets[preset],
        "image": {"size": size, "channels": 1},
        "seed": 0,
        "steps": 6,
        "batch_size": 8,
        "report_every": 3,
        "checkpoints": str(folder / "checkpoints"),
        "champion": None,
        "champion_params": None if changes.get("champion") is None else about.presets[preset],
        "result": str(folder / "result"),
        "previews": str(folder / "previews"),
        **changes,
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def write_rows(path: Path, size: int, weights: list[float]) -> None:
    """weights: of the rows of each class, of which the first half is `dark`."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(40):
        pixels = random.integers(0, 60, (size, size, 1)).astype(np.uint8)
        pixels[size // 4 : -size // 4, size // 4 : -size // 4] += np.uint8(150 * (number % 2))
        rows.append(
            {
                "image": {"bytes": png.encode(pixels), "path": None},
                "label": number % 2,
                "row_id": str(number),
                "origin": "real",
                "generation": 0,
                "weight": weights[number % 2],
                "split": "train",
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([shards.ROW.field(name) for name in COLUMNS])), path)


def run(example: str, job: Path, python: str = sys.executable, kill_at: int | None = None) -> list[dict[str, Any]]:
    """The reports of a training. kill_at: the step with whose report it is killed."""
    command = [python, str(EXAMPLES / example / "train.py"), str(job)]
    reports = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                reports.append(json.loads(line))
                if reports[-1]["step"] == kill_at:
                    process.kill()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 0 or kill_at is not None, errors
    return reports


def result(job: Path) -> dict[str, bytes]:
    """What a training left, by name."""
    folder = job.parent / "result"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
