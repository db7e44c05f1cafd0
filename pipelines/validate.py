"""validate: data/raw -> data/facts, and the data report. Measures every row; stops where the data is not what was agreed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pipelines.core import facts, files, grids, images, measuring, paths, reports, shards
from pipelines.core.errors import InputError
from pipelines.settings.schema import Params
from pipelines.stage import main
from pipelines.validation import expectations, page

SHOWN, SIDE = 12, 32  # pictures of a class in the report, and their pixels a side


def run(params: Params) -> None:
    classes = shards.classes(paths.RAW)
    measured = measuring.measure(paths.RAW, params.image.background, "validate")
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
    main(run)
