"""The training rows, checked, as arrays in memory: those of data/clean as feedback changes and weighs them, and its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipelines.core import approval, paths, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.params import Params
from pipelines.core.rows import Rows
from pipelines.feedback import curated


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


def read(params: Params, conditional: bool) -> Dataset:
    """The rows with split `train`.

    Args:
        conditional: whether the family learns classes; if so, rows without a label are left out where others have one.

    Raises:
        InputError: too few rows for a batch, rows of another size than params say, or weights that are no weights.
    """
    classes = shards.classes(paths.CLEAN) if conditional else []
    parts = [weighted(changed(rows.load(paths.CLEAN, "train")))]
    if shards.count(paths.CURATED):
        parts.append(rows.load(paths.CURATED, "train"))
    images, labels, weights = (np.concatenate([getattr(p, name) for p in parts]) for name in ("images", "labels", "weights"))
    named = labels >= 0 if classes else np.ones(len(images), bool)
    dataset = Dataset(
        images[named],
        labels[named] if classes else np.zeros(len(images), np.int32),
        weights[named].astype(np.float64),
        classes,
        int((~named).sum()),
    )
    check(dataset, params)
    return dataset


def changed(found: Rows) -> Rows:
    """Without the rows that people reported, and with the labels that they corrected."""
    table = curated.read_table(paths.CURATED, "changes")
    if not table.num_rows:
        return found
    labels, keep = found.labels.copy(), np.ones(len(found), bool)
    numbers = {row_id: number for number, row_id in enumerate(found.ids)}
    for change in table.to_pylist():
        number = numbers.get(change["row_id"])
        if number is None:
            continue  # of a row that `clean` has refused since
        keep[number] = not change["removed"]
        if change["label"] is not None:
            labels[number] = change["label"]
    return Rows(found.images[keep], labels[keep], found.weights[keep], found.ids[keep])


def weighted(found: Rows) -> Rows:
    """With the weights that `approval` gave, where it did."""
    told = approval.weights(paths.APPROVAL)
    if told is None:
        return found
    factors = dict(zip(*told, strict=True))
    return replace(found, weights=found.weights * np.array([factors.get(row_id, 1.0) for row_id in found.ids]))


def check(dataset: Dataset, params: Params) -> None:
    batch = params.train.batch_size
    if len(dataset) < batch:
        left_out = f" ({dataset.unlabelled:,} more have no label)" if dataset.unlabelled else ""
        raise InputError(
            f"{paths.CLEAN} has {len(dataset):,} rows to train on{left_out}, fewer than train.batch_size: {batch}; "
            f"add images, or set train.batch_size to {max(len(dataset), 2)} or less"
        )
    shape = (params.image.size, params.image.size, params.image.channels)
    if dataset.images.shape[1:] != shape:
        raise InputError(
            f"{paths.CLEAN} has images of shape {dataset.images.shape[1:]}, expected {shape} "
            "(image.size, image.size, image.channels); run `clean` again (`genloop run`)"
        )
    weights = dataset.weights
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise InputError(
            f"{paths.APPROVAL}: weights from {weights.min()} to {weights.max()}, expected finite ones from 0 on, not all 0"
        )


def of_classes(dataset: Dataset, classes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Row numbers of each of `classes`, the first `most` of them."""
    for label in classes:
        yield np.flatnonzero(dataset.labels == label)[:most]
