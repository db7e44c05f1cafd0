"""Small inputs that the contract tests of every member share."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core import shards
from pipelines.feedback import curated


def pictures(count: int, size: int, channels: int, seed: int = 0) -> np.ndarray:
    """(count, size, size, channels) uint8: bright squares at places drawn from the seed, so that no two are alike."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, size, size, channels), np.uint8)
    for image in images:
        top, left = random.integers(0, size - size // 3, 2)
        image[top : top + size // 3, left : left + size // 3] = random.integers(150, 256, channels)
    return images


def stir(family: Any) -> None:
    """Give weights to what has none before training, as layers that start as no change at all."""
    random = np.random.default_rng(0)
    for variable in family.trainable_variables:
        variable.assign_add(0.1 * random.standard_normal(variable.shape, np.float32))


def write_feedback(
    folder: Path, changes: Sequence[dict[str, Any]] = (), generation: int = 0, classes: Sequence[str] = ()
) -> None:
    """data/curated in `folder`, as `curate` writes it of no events; rows may be written into it before."""
    if not any(folder.glob("part-*.parquet")):
        with shards.ShardWriter(folder, classes=classes):
            pass
    tables: dict[str, Any] = {name: {column: [] for column in schema.names} for name, schema in curated.SCHEMAS.items()}
    for change in changes:
        for column, values in tables["changes"].items():
            values.append(change.get(column, {"removed": False, "events": []}.get(column)))
    for name, columns in tables.items():
        curated.write_table(folder, name, columns)
    curated.write_summary(folder, curated.CuratedSummary([], 0, generation))


def write_rows(
    folder: Path,
    images: np.ndarray,
    labels: Sequence[int | None],
    classes: Sequence[str] = (),
    weights: Sequence[float] | None = None,
    splits: Sequence[str] | None = None,
) -> None:
    """Shards as `clean` writes them, all rows `train` where no splits are given."""
    with shards.ShardWriter(folder, classes=classes) as writer:
        for number, image in enumerate(images):
            png = io.BytesIO()
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(png, "PNG")
            writer.add(
                {
                    "image": {"bytes": png.getvalue(), "path": None},
                    "label": labels[number],
                    "row_id": f"{number:064d}",
                    "source": "test",
                    "origin": "real",
                    "generation": 0,
                    "weight": 1.0 if weights is None else weights[number],
                    "events": [],
                    "split": "train" if splits is None else splits[number],
                }
            )
