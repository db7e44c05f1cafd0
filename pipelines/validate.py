"""validate: data/raw -> data/facts, and a page of the data. Measures every row; stops where a hard expectation is broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import facts, files, grids, images, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.rules import copies
from pipelines.settings.schema import Params
from pipelines.stage import main
from pipelines.validation import conflicts, expectations, page
from pipelines.validation.page import SourceSplit

SHOWN, SIDE = 12, 32  # images of a class on the page, and their pixels a side


def run(project: Project, params: Params) -> None:
    classes = shards.classes(project.raw)
    measured = facts.measure_folder(project.raw, params.image.background, "validate")
    groups = copies.groups_of(measured, params.clean.rules)
    conflicting = copies.label_conflicts(groups, measured["label"])
    findings, result = expectations.check(measured, classes, conflicting, params.validate_.hard, params.validate_.soft)
    ingested = sum(reports.read(project.reports, "ingest")["refused"].values())
    failed = [f for f in findings if not f.passed]
    broken = [f for f in failed if f.hard]

    reports.write(
        project.reports,
        "validate",
        {
            **reports.row_counts(len(measured), len(measured), {}),
            "unlabelled": int((measured["label"] < 0).sum()),
            "pictures_with_several_labels": len(np.unique(groups[conflicting])),
            "passed": not broken,
            "failed": [asdict(f) for f in failed],
            "great_expectations": result,
        },
    )
    shown = pictures(project.raw, measured, params.image.background)
    contradictions = conflicts.show(project.raw, measured, np.where(conflicting, groups, -1), classes, params.image.background)
    report = project.reports / "data.html"
    files.write(report, page.render(measured, classes, findings, shown, contradictions, source_splits(project.raw), ingested))
    for f in failed:
        print(f"validate: {'FAILED' if f.hard else 'warning'}: {f.expected}; came: {f.observed}")
    if broken:
        raise InputError(
            f"{len(broken)} of {len(findings)} expectations that must hold do not; {project.relative(report)} shows "
            "the data. Mend the data, or the block `validate` of params.yaml"
        )
    with files.replacement(project.facts) as folder:
        facts.write(measured, folder / "facts.parquet")
    if len(measured) and not (measured["label"] >= 0).any():
        print("validate: no row has a label, so models are trained without classes")
    if contradictions.total:
        print(f"validate: {project.relative(report)} shows pictures that have several labels, {contradictions.total:,} in all")
    print(f"validate: {len(measured):,} rows, {len(findings) - len(failed)} of {len(findings)} expectations hold")


def source_splits(raw: Path) -> list[SourceSplit]:
    """The numbers of rows of each split that a source names."""
    counts = Counter[tuple[str, str, str | None]]()
    for batch in shards.read(raw, ["source", "source_split", "split"]):
        counts.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return [SourceSplit(*names, rows) for names, rows in counts.items() if names[1] is not None]


def pictures(raw: Path, measured: facts.Facts, background: str) -> dict[int, Any]:
    """For each label (-1 for none) a Pillow image that shows some of its rows."""
    labels = measured["label"]
    chosen = {}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen[int(label)] = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
    rows_shown = np.concatenate(list(chosen.values()) or [np.empty(0, int)])
    encoded = shards.take(raw, rows_shown)
    strips = {}
    for label, rows in chosen.items():
        strip = [images.to_pixels(images.decode_pixels(encoded[row]), 3, background) for row in rows]
        squares = [images.to_square(pixels, SIDE, "pad", "bicubic", background) for pixels in strip]
        strips[label] = grids.grid(np.stack(squares), len(squares))
    return strips


if __name__ == "__main__":
    main(run)
