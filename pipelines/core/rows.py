"""The rows of `data/clean` in memory, as the stages that train and score use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines.core import images, shards
from pipelines.core.errors import InputError

Split = Literal["train", "holdout"]


@dataclass(frozen=True)
class Rows:
    """n rows.

    images: (n, size, size, channels) uint8, 0..255.
    labels: (n,) int32, -1 for none.
    weights: (n,) float32, how much each counts in training.
    ids: (n,) str, the row_ids.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def load(folder: Path, split: Split, origin: str | None = None) -> Rows:
    """The rows of one split, and of one `origin` where that is given, in the order of the shards.

    Raises:
        InputError: there is none.
    """
    parts = list(batches(folder, split, origin))
    if not parts:
        raise none(folder, split, origin)
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))


def batches(folder: Path, split: Split, origin: str | None = None) -> Iterator[Rows]:
    """The same rows, some at a time."""
    for batch in shards.read(folder, ["image", "label", "row_id", "weight", "split", "origin"]):
        wanted = [
            place
            for place, (row_split, row_origin) in enumerate(
                zip(batch["split"].to_pylist(), batch["origin"].to_pylist(), strict=True)
            )
            if row_split == split and origin in (None, row_origin)
        ]
        if wanted:
            batch = batch.take(wanted)
            yield Rows(
                stacked([images.decode_png(png.as_py()) for png in batch["image"].field("bytes")], folder),
                batch["label"].fill_null(-1).to_numpy(zero_copy_only=False),
                batch["weight"].to_numpy(),
                batch["row_id"].to_numpy(zero_copy_only=False),
            )


def none(folder: Path, split: Split, origin: str | None = None) -> InputError:
    return InputError(f"{folder}: no {f'{origin} ' if origin else ''}rows in the {split} split; see data/reports/clean.json")


def stacked(pixels: list[np.ndarray], folder: Path) -> np.ndarray:
    shapes = {image.shape for image in pixels}
    if len(shapes) > 1:
        raise InputError(f"{folder} has images of several shapes: {sorted(shapes)}; run `clean` again (`genloop run`)")
    return np.stack(pixels)


def ids(folder: Path, split: Split, origin: str) -> set[str]:
    """The row_ids of one split and origin."""
    found: set[str] = set()
    for batch in shards.read(folder, ["row_id", "split", "origin"]):
        lists = (batch[name].to_pylist() for name in ("row_id", "split", "origin"))
        found.update(row_id for row_id, s, o in zip(*lists, strict=True) if (s, o) == (split, origin))
    return found


def find(folder: Path, ids: np.ndarray) -> np.ndarray:
    """Images of the rows with these row_ids: (n, size, size, channels) uint8, in the order asked for.

    Raises:
        InputError: a row is not there.
    """
    wanted = set(ids.tolist())
    numbers: dict[str, int] = {}
    first = 0
    for batch in shards.read(folder, ["row_id"]):
        for place, row_id in enumerate(batch["row_id"].to_pylist()):
            if row_id in wanted:
                numbers[row_id] = first + place
        first += batch.num_rows
    if len(numbers) < len(wanted):
        raise InputError(f"{folder} lacks rows that the benchmark was made of; run `reference` again (`genloop run`)")
    encoded = shards.take(folder, numbers.values())
    return stacked([images.decode_png(encoded[numbers[row_id]]) for row_id in ids.tolist()], folder)
