"""What there is already: rows of data/clean, and the facts by which a copy of them is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core import measuring, shards
from pipelines.core.facts import Facts
from pipelines.settings.schema import Params


@dataclass(frozen=True)
class Row:
    """number: counted through the shards. label: None for none."""

    number: int
    label: int | None
    held_out: bool


@dataclass(frozen=True)
class Dataset:
    """rows: by row_id, those that were asked for. train: training rows of each label, None for none."""

    folder: Path
    classes: list[str]
    rows: dict[str, Row]
    train: Counter[int | None]

    def images(self, row_ids: Collection[str]) -> dict[str, bytes]:
        """PNG of each of these rows."""
        numbers = {row_id: self.rows[row_id].number for row_id in row_ids}
        taken = shards.take(self.folder, numbers.values()) if numbers else {}
        return {row_id: taken[number] for row_id, number in numbers.items()}


def read(folder: Path, wanted: Collection[str]) -> Dataset:
    """Counts all rows, and looks up those that are wanted.

    Args:
        wanted: row_ids; where there is no such row, it is left out.
    """
    found: dict[str, Row] = {}
    train: Counter[int | None] = Counter()
    asked = pa.array(sorted(wanted), pa.string())
    first = 0
    for batch in shards.read(folder, ["row_id", "label", "split"]):
        training = pc.equal(batch["split"], "train")
        for count in pc.value_counts(batch["label"].filter(training)).to_pylist():
            train[count["values"]] += count["counts"]
        for place in np.flatnonzero(pc.is_in(batch["row_id"], asked)).tolist():
            held_out = batch["split"][place].as_py() == "holdout"
            found[batch["row_id"][place].as_py()] = Row(first + place, batch["label"][place].as_py(), held_out)
        first += batch.num_rows
    return Dataset(folder, shards.classes(folder), found, train)


def in_form(came: Facts, clean: Path, params: Params) -> Facts:
    """The facts of the data in the form that all rows have: two pictures of other sizes do not show that they are alike.

    Args:
        came: as the data came; where that is the same form, it is all that is needed.
    """
    size = params.image.size
    same = (came["width"] == size) & (came["height"] == size)
    if same.all() and params.clean.denoise == "none":
        return came
    return measuring.measure(clean, params.image.background, "curate")


def as_large_as(came: Facts, looked: Facts) -> Facts:
    """`looked` with the size that the data came in: rules on sizes are about what comes in, not about the rows' own form."""
    changed = looked.copy()
    changed["width"] = changed["height"] = int(np.minimum(came["width"], came["height"]).max(initial=1))
    return changed
