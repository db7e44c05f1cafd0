"""The facts of every row of a folder of shards, measured on all cores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.core import facts, images, parallel, shards
from pipelines.core.progress import Progress


def measure(folder: Path, background: str, name: str) -> facts.Facts:
    """In the order of the shards.

    Args:
        background: what shows through transparent pixels, "#rrggbb".
        name: of the stage, for its progress.
    """
    batches = shards.read(folder, ["image", "row_id", "label"])
    table = np.empty(shards.count(folder), facts.FACT)
    with Progress(name, len(table), "images") as progress:
        done = 0
        for batch in parallel.map_ordered(partial(measure_batch, background=background), batches):
            table[done : done + len(batch)] = batch
            done += len(batch)
            progress.advance(len(batch))
    return table


def measure_batch(batch: pa.RecordBatch, background: str) -> facts.Facts:
    pictures = map(images.decode_png, batch["image"].field("bytes").to_pylist())
    labels = batch["label"].fill_null(-1).to_numpy(zero_copy_only=False)
    return facts.of(pictures, batch["row_id"].to_pylist(), labels, background)
