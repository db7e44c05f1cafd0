"""clean: data/raw -> data/clean. Refuses the rows that break a rule and says which; makes the others equal in form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import facts, files, form, images, parallel, paths, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.rules.judging import KEPT, judge
from pipelines.settings.schema import Params
from pipelines.stage import main


def run(params: Params) -> None:
    names = [rule.rule for rule in params.clean.rules]
    verdicts = judge(facts.read(paths.FACTS / "facts.parquet"), params.clean.rules)
    refused = dict.fromkeys(names, 0)
    for place, name in enumerate(names):
        refused[name] += int((verdicts == place).sum())
    kept = len(verdicts) - sum(refused.values())
    if kept == 0:
        raise InputError(f"every row was refused: {refused}; loosen clean.rules in params.yaml, or mend the data")

    splits = {"train": 0, "holdout": 0}
    classes = shards.classes(paths.RAW)
    with (
        files.replacing(paths.QUARANTINE / "clean") as quarantine,
        files.replacing(paths.CLEAN) as folder,
        shards.Writer(quarantine, shards.REFUSED) as away,
        shards.Writer(folder, classes=classes) as writer,
        Progress("clean", len(verdicts), "images") as progress,
    ):
        work = partial(transform, params=params)
        for rows in parallel.map_ordered(work, judged(verdicts)):
            for row in rows:
                if "reason" in row:
                    away.add(row)
                else:
                    splits[row["split"]] += 1
                    writer.add(row)
            progress.advance(len(rows))
        for split, count in splits.items():
            if count == 0:
                raise InputError(f"no row fell into the {split} split of {kept}; clean.holdout is {params.clean.holdout}")
    reports.write("clean", {**reports.rows(len(verdicts), kept, refused), **splits, "classes": classes})
    print(f"clean: {len(verdicts):,} rows in, {kept:,} out ({splits['train']:,} to train, {splits['holdout']:,} held out)")
    for rule, count in refused.items():
        if count:
            print(f"clean: {count:,} refused by {rule}, in {paths.QUARANTINE / 'clean'}")


def judged(verdicts: np.ndarray) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch of data/raw with the verdicts on its rows."""
    first = 0
    for batch in shards.read(paths.RAW):
        yield batch, verdicts[first : first + batch.num_rows]
        first += batch.num_rows
    if first != len(verdicts):
        raise InputError(f"{paths.FACTS} has {len(verdicts):,} rows and {paths.RAW} {first:,}; run `validate` again")


def transform(work: tuple[pa.RecordBatch, np.ndarray], params: Params) -> list[dict[str, Any]]:
    """Rows as `data/clean` holds them, and rows with a `reason` for the quarantine."""
    batch, verdicts = work
    rows = []
    for row, verdict in zip(batch.to_pylist(), verdicts.tolist(), strict=True):
        if verdict != KEPT:
            reason = params.clean.rules[verdict].rule
            rows.append({"image": row["image"], "source": row["source"], "reason": reason})
        else:
            pixels = form.normalise(images.decode_png(row["image"]["bytes"]), params)
            identity = images.row_id(pixels)
            image = {"bytes": images.encode_png(pixels), "path": row["image"]["path"]}
            rows.append({**row, "image": image, "row_id": identity, "split": split(identity, params.clean.holdout)})
    return rows


def split(row_id: str, holdout: float) -> str:
    """By content: a row never moves from one split to the other, however the data grows."""
    return "holdout" if int(row_id[:13], 16) < holdout * 16**13 else "train"


if __name__ == "__main__":
    main(run)
