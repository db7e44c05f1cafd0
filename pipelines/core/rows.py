"""Rows of `data/clean` in memory, for the stages that train and score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    """The rows of one split, and of `origin` where it is given, as the shards have them; raises InputError where none is."""
    parts = list(batches(folder, split, origin))
    if not parts:
        raise no_rows(folder, split, origin)
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))


def batches(folder: Path, split: Split, origin: str | None = None) -> Iterator[Rows]:
    """The same rows, some at a time."""
    for batch in shards.read(folder, ["image", "label", "row_id", "weight", "split", "origin"]):
        batch = select(batch, split, origin)
        if len(batch):
            yield Rows(
                stack([images.decode_pixels(png.as_py()) for png in batch["image"].field("bytes")], folder),
                batch["label"].fill_null(-1).to_numpy(zero_copy_only=False),
                batch["weight"].to_numpy(),
                batch["row_id"].to_numpy(zero_copy_only=False),
            )


def select(batch: pa.RecordBatch, split: Split, origin: str | None) -> pa.RecordBatch:
    chosen = pc.equal(batch["split"], split)
    return batch.filter(chosen if origin is None else pc.and_(chosen, pc.equal(batch["origin"], origin)))


def no_rows(folder: Path, split: Split, origin: str | None = None) -> InputError:
    return InputError(f"{folder}: no {f'{origin} ' if origin else ''}rows in the {split} split; see data/reports/clean.json")


def stack(pixels: list[np.ndarray], folder: Path) -> np.ndarray:
    shapes = {image.shape for image in pixels}
    if len(shapes) > 1:
        raise InputError(f"{folder} has images of several shapes: {sorted(shapes)}; run `clean` again (`genloop run`)")
    return np.stack(pixels)


def ids(folder: Path, split: Split, origin: str) -> set[str]:
    """The row_ids of one split and origin."""
    batches = shards.read(folder, ["row_id", "split", "origin"])
    return {row_id for batch in batches for row_id in select(batch, split, origin)["row_id"].to_pylist()}


def load_images(folder: Path, ids: np.ndarray) -> np.ndarray:
    """Images by row_id: (n, size, size, channels) uint8, in the order of `ids`; raises InputError where one is missing."""
    row_ids = set(ids.tolist())
    numbers: dict[str, int] = {}
    first = 0
    for batch in shards.read(folder, ["row_id"]):
        for place, row_id in enumerate(batch["row_id"].to_pylist()):
            if row_id in row_ids:
                numbers[row_id] = first + place
        first += batch.num_rows
    if len(numbers) < len(row_ids):
        raise InputError(f"{folder} lacks rows that the benchmark was made of; run `reference` again (`genloop run`)")
    encoded = shards.take(folder, numbers.values())
    return stack([images.decode_pixels(encoded[numbers[row_id]]) for row_id in ids.tolist()], folder)
