"""clean: data/raw -> data/clean. Refuses the rows that break a rule, and brings the others to one form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import facts, files, images, parallel, png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.form import Form
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.rules.base import NOT_REFUSED, first_refusals
from pipelines.settings.schema import Params
from pipelines.stage import main


def run(project: Project, params: Params) -> None:
    names = [rule.rule for rule in params.clean.rules]
    refusals = first_refusals(facts.read(project.facts / "facts.parquet"), params.clean.rules)
    refused = dict.fromkeys(names, 0)
    for number, name in enumerate(names):
        refused[name] += int((refusals == number).sum())
    rows_out = len(refusals) - sum(refused.values())
    if rows_out == 0:
        raise InputError(f"every row was refused: {refused}; loosen clean.rules in params.yaml, or mend the data")

    splits = {"train": 0, "holdout": 0}
    classes = shards.classes(project.raw)
    with (
        files.replacement(project.quarantine / "clean") as quarantine,
        files.replacement(project.clean) as folder,
        shards.ShardWriter(quarantine, shards.QUARANTINED) as quarantined,
        shards.ShardWriter(folder, classes=classes) as writer,
        Progress("clean", len(refusals), "images") as progress,
    ):
        work = partial(transform, names=names, form=params.form, holdout=params.clean.holdout)
        for rows in parallel.map_ordered(work, batches_with_refusals(project, refusals)):
            for row in rows:
                if "reason" in row:
                    quarantined.add(row)
                else:
                    splits[row["split"]] += 1
                    writer.add(row)
            progress.advance(len(rows))
        for split, count in splits.items():
            if count == 0:
                raise InputError(f"no row fell into the {split} split of {rows_out}; clean.holdout is {params.clean.holdout}")
    reports.write(
        project.reports, "clean", {**reports.row_counts(len(refusals), rows_out, refused), **splits, "classes": classes}
    )
    print(f"clean: {len(refusals):,} rows in, {rows_out:,} out ({splits['train']:,} to train, {splits['holdout']:,} held out)")
    for rule, count in refused.items():
        if count:
            print(f"clean: {count:,} refused by {rule}, in {project.relative(project.quarantine / 'clean')}")


def batches_with_refusals(project: Project, refusals: np.ndarray) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch of data/raw with the refusals of its rows."""
    first = 0
    for batch in shards.read(project.raw):
        yield batch, refusals[first : first + batch.num_rows]
        first += batch.num_rows
    if first != len(refusals):
        raise InputError(f"{project.facts} has {len(refusals):,} rows and {project.raw} {first:,}; run `validate` again")


def transform(work: tuple[pa.RecordBatch, np.ndarray], names: list[str], form: Form, holdout: float) -> list[dict[str, Any]]:
    """Rows of `data/clean`, and rows with a `reason` for the quarantine; `names` are those of the rules."""
    batch, refusals = work
    rows = []
    for row, refusal in zip(batch.to_pylist(), refusals.tolist(), strict=True):
        if refusal != NOT_REFUSED:
            rows.append({"image": row["image"], "source": row["source"], "reason": names[refusal]})
        else:
            pixels = form.apply(images.decode_pixels(row["image"]["bytes"]))
            row_id = images.row_id(pixels)
            image = {"bytes": png.encode(pixels), "path": row["image"]["path"]}
            rows.append({**row, "image": image, "row_id": row_id, "split": split(row_id, holdout)})
    return rows


def split(row_id: str, holdout: float) -> str:
    """The split goes by content, so that a row never moves to the other one, however the data grows."""
    return "holdout" if int(row_id[:13], 16) < holdout * 16**13 else "train"


if __name__ == "__main__":
    main(run)
