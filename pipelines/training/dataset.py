"""The training rows of data/clean, checked, as arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.core import rows, shards
from pipelines.core.errors import InputError
from pipelines.core.params import Params


@dataclass(frozen=True)
class Dataset:
    """images: (n, size, size, channels) uint8. labels: (n,) int32, all 0 without classes. weights: (n,) float64, >= 0.

    classes: their names; empty for an unconditional model. unlabelled: rows left out, because the others have labels.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    classes: list[str]
    unlabelled: int

    def __len__(self) -> int:
        return len(self.images)


def read(folder: Path, params: Params, conditional: bool) -> Dataset:
    """The rows with split `train` in `folder`.

    Args:
        conditional: whether the family learns classes; if so, rows without a label are left out where others have one.

    Raises:
        InputError: too few rows for a batch, rows of another size than params say, or weights that are no weights.
    """
    classes = shards.classes(folder) if conditional else []
    found = rows.load(folder, "train")
    named = found.labels >= 0 if classes else np.ones(len(found), bool)
    dataset = Dataset(
        found.images[named],
        found.labels[named] if classes else np.zeros(len(found), np.int32),
        found.weights[named].astype(np.float64),
        classes,
        int((~named).sum()),
    )
    check(folder, dataset, params)
    return dataset


def check(folder: Path, dataset: Dataset, params: Params) -> None:
    batch = params.train.batch_size
    if len(dataset) < batch:
        left_out = f" ({dataset.unlabelled:,} more have no label)" if dataset.unlabelled else ""
        raise InputError(
            f"{folder} has {len(dataset):,} rows to train on{left_out}, fewer than train.batch_size: {batch}; "
            f"add images, or set train.batch_size to {max(len(dataset), 2)} or less"
        )
    shape = (params.image.size, params.image.size, params.image.channels)
    if dataset.images.shape[1:] != shape:
        raise InputError(
            f"{folder} has images of shape {dataset.images.shape[1:]}, expected {shape} "
            "(image.size, image.size, image.channels); run `clean` again (`genloop run`)"
        )
    weights = dataset.weights
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise InputError(
            f"{folder}: weights from {weights.min()} to {weights.max()}, expected finite ones from 0 on, not all 0"
        )


def of_classes(dataset: Dataset, classes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Row numbers of each of `classes`, the first `most` of them."""
    for label in classes:
        yield np.flatnonzero(dataset.labels == label)[:most]
