"""Rows that exist already: those of data/clean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core import shards


@dataclass(frozen=True)
class ExistingRow:
    """number: counted through the shards. label: None for none."""

    number: int
    label: int | None
    held_out: bool


@dataclass(frozen=True)
class ExistingRows:
    """rows: by row_id, those that were looked up. train: training rows of each label, None for none."""

    folder: Path
    classes: list[str]
    rows: dict[str, ExistingRow]
    train: Counter[int | None]

    def label(self, row_id: str) -> int | None:
        """The label of a row that was looked up; None for none, and where there is no such row."""
        return self.rows[row_id].label if row_id in self.rows else None

    def images(self, row_ids: Collection[str]) -> dict[str, bytes]:
        """PNG of each of these rows."""
        numbers = {row_id: self.rows[row_id].number for row_id in row_ids}
        taken = shards.take(self.folder, numbers.values()) if numbers else {}
        return {row_id: taken[number] for row_id, number in numbers.items()}


def read(folder: Path, row_ids: Collection[str]) -> ExistingRows:
    """Counts all rows, and looks some up.

    Args:
        row_ids: to look up; those of no row are left out.
    """
    rows: dict[str, ExistingRow] = {}
    train: Counter[int | None] = Counter()
    row_ids = pa.array(sorted(row_ids), pa.string())
    first = 0
    for batch in shards.read(folder, ["row_id", "label", "split"]):
        training = pc.equal(batch["split"], "train")
        for count in pc.value_counts(batch["label"].filter(training)).to_pylist():
            train[count["values"]] += count["counts"]
        for place in np.flatnonzero(pc.is_in(batch["row_id"], row_ids)).tolist():
            held_out = batch["split"][place].as_py() == "holdout"
            rows[batch["row_id"][place].as_py()] = ExistingRow(first + place, batch["label"][place].as_py(), held_out)
        first += batch.num_rows
    return ExistingRows(folder, shards.classes(folder), rows, train)
