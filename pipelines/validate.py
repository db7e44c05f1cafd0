"""validate: data/raw -> data/facts, and the data report. Measures every row; stops where the data is not what was agreed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import facts, files, grids, images, parallel, paths, reports, shards, stage
from pipelines.core.errors import InputError
from pipelines.core.params import Params
from pipelines.core.progress import Progress
from pipelines.validation import expectations, page

SHOWN, SIDE = 12, 32  # pictures of a class in the report, and their pixels a side


def run(params: Params) -> None:
    classes = shards.classes(paths.RAW)
    measured = measure(params)
    findings, result = expectations.check(measured, classes, params.validate_.hard, params.validate_.soft)
    ingested = sum(reports.read("ingest")["refused"].values())
    failed = [f for f in findings if not f.passed]
    broken = [f for f in failed if f.hard]

    reports.write(
        "validate",
        {
            **reports.rows(len(measured), len(measured), {}),
            "passed": not broken,
            "failed": [asdict(f) for f in failed],
            "great_expectations": result,
        },
    )
    files.write(paths.REPORTS / "data.html", page.render(measured, classes, findings, pictures(measured, params), ingested))
    for f in failed:
        print(f"validate: {'FAILED' if f.hard else 'warning'}: {f.expected}; came: {f.observed}")
    if broken:
        raise InputError(
            f"{len(broken)} of {len(findings)} expectations that must hold do not; {paths.REPORTS / 'data.html'} shows "
            "the data. Mend the data, or the block `validate` of params.yaml"
        )
    with files.replacing(paths.FACTS) as folder:
        facts.write(measured, folder / "facts.parquet")
    print(f"validate: {len(measured):,} rows, {len(findings) - len(failed)} of {len(findings)} expectations hold")


def measure(params: Params) -> facts.Facts:
    """The facts of every row of data/raw, in the order of its shards."""
    batches = shards.read(paths.RAW, ["image", "row_id", "label"])
    work = partial(measure_batch, background=params.image.background)
    table = np.empty(shards.count(paths.RAW), facts.FACT)
    with Progress("validate", len(table), "images") as progress:
        done = 0
        for batch in parallel.map_ordered(work, batches):
            table[done : done + len(batch)] = batch
            done += len(batch)
            progress.advance(len(batch))
    return table


def measure_batch(batch: pa.RecordBatch, background: str) -> facts.Facts:
    table = np.empty(batch.num_rows, facts.FACT)
    table["label"] = batch["label"].fill_null(-1).to_numpy(zero_copy_only=False)
    table["id"] = [bytes.fromhex(identity[:32]) for identity in batch["row_id"].to_pylist()]
    by_size: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = defaultdict(list)
    for row, encoded in enumerate(batch["image"].field("bytes").to_pylist()):
        pixels = images.decode_png(encoded)
        table["mode"][row] = images.MODES[pixels.shape[2]]
        by_size[pixels.shape[:2]].append((row, images.to_pixels(pixels, 1, background)[:, :, 0]))
    for (height, width), group in by_size.items():
        rows, greys = zip(*group, strict=True)
        table["width"][list(rows)], table["height"][list(rows)] = width, height
        for name, values in facts.measure(np.stack(greys)).items():
            table[name][list(rows)] = values
    return table


def pictures(measured: facts.Facts, params: Params) -> dict[int, Any]:
    """A strip of rows for each label (-1 for none), as Pillow images."""
    labels = measured["label"]
    chosen = {}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen[int(label)] = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
    wanted = np.concatenate(list(chosen.values()) or [np.empty(0, int)])
    encoded = shards.take(paths.RAW, wanted)
    strips = {}
    for label, rows in chosen.items():
        strip = [images.to_pixels(images.decode_png(encoded[row]), 3, params.image.background) for row in rows]
        squares = [images.to_square(pixels, SIDE, "pad", "bicubic", params.image.background) for pixels in strip]
        strips[label] = grids.grid(np.stack(squares), len(squares))
    return strips


if __name__ == "__main__":
    stage.main(run)
