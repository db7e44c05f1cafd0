"""The training rows, checked: those of data/clean as feedback changes and weighs them, and its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.core import files, paths, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.core.rows import Rows
from pipelines.feedback import curated
from pipelines.scoring import approval
from pipelines.settings.schema import Params
from pipelines.training import pixels
from pipelines.training.pixels import Images, Store


@dataclass(frozen=True)
class Dataset:
    """images: (n, size, size, channels) uint8, in memory or on disk. labels: (n,) int32, all 0 without classes.

    weights: (n,) float64, >= 0. classes: their names; empty for an unconditional model. unlabelled: rows left out, because the
    others have labels. ids: (n,) bytes, the row_ids, where they were asked for.
    """

    images: Images
    labels: np.ndarray
    weights: np.ndarray
    classes: list[str]
    unlabelled: int
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, rows: np.ndarray) -> Dataset:
        """Some rows by number, as a data set of their own."""
        ids = None if self.ids is None else self.ids[rows]
        images = pixels.Chosen(self.images, rows)
        return Dataset(images, self.labels[rows], self.weights[rows], self.classes, self.unlabelled, ids)


def read(params: Params, conditional: bool, with_ids: bool = False) -> Dataset:
    """The rows with split `train`.

    Args:
        conditional: whether the family learns classes; if so, rows without a label are left out where others have one.
        with_ids: whether anybody asks which rows they are; there may be millions.

    Raises:
        InputError: too few rows for a batch, rows of another size than params say, or weights that are no weights.
    """
    classes = shards.classes(paths.CLEAN) if conditional else []
    most = shards.count(paths.CLEAN) + shards.count(paths.CURATED)
    store: Store | None = None
    labels, weights, ids, unlabelled = [], [], [], 0
    for found in told():
        named = found.labels >= 0 if classes else np.ones(len(found), bool)
        store = store or pixels.store(most, found.images.shape[1:], params.train.max_memory_share)
        store.add(found.images[named])
        labels.append(found.labels[named] if classes else np.zeros(len(found), np.int32))
        weights.append(found.weights[named].astype(np.float64))
        if with_ids:
            ids.append(found.ids[named].astype("S64"))  # hex digits of a sha256
        unlabelled += int((~named).sum())
    if store is None:
        raise rows.none(paths.CLEAN, "train")
    known = np.concatenate(ids) if with_ids else None
    dataset = Dataset(store.images(), np.concatenate(labels), np.concatenate(weights), classes, unlabelled, known)
    check(dataset, params)
    return dataset


def content() -> list[str]:
    """Hashes of all that these rows follow from."""
    tables = (curated.path(paths.CURATED, "changes"), approval.path(paths.APPROVAL))
    return [*map(shards.content, (paths.CLEAN, paths.CURATED)), *(files.sha256(path) for path in tables if path.exists())]


def told() -> Iterator[Rows]:
    """Those of data/clean as feedback changes and weighs them, then its own, some at a time."""
    corrections = {change["row_id"]: change for change in curated.read_table(paths.CURATED, "changes").to_pylist()}
    factors = Factors(approval.weights(paths.APPROVAL))
    with Progress("train: read", shards.count(paths.CLEAN) + shards.count(paths.CURATED), "rows") as progress:
        for found in rows.batches(paths.CLEAN, "train"):
            yield weighted(changed(found, corrections), factors)
            progress.advance(len(found))
        if shards.count(paths.CURATED):
            yield from rows.batches(paths.CURATED, "train")


def changed(found: Rows, corrections: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Without the rows that people reported, and with the labels that they corrected."""
    places = [place for place, row_id in enumerate(found.ids) if row_id in corrections]
    if not places:
        return found
    labels, keep = found.labels.copy(), np.ones(len(found), bool)
    for place in places:
        change = corrections[found.ids[place]]
        keep[place] = not change["removed"]
        if change["label"] is not None:
            labels[place] = change["label"]
    return Rows(found.images[keep], labels[keep], found.weights[keep], found.ids[keep])


def weighted(found: Rows, factors: Factors) -> Rows:
    """With the weights that `approval` gave, where it did."""
    return replace(found, weights=found.weights * factors.of(found.ids))


class Factors:
    """By what the weights of rows are multiplied; 1 where nothing is known. Millions of rows, so as few bytes as can be."""

    def __init__(self, told: tuple[np.ndarray, np.ndarray] | None) -> None:
        ids, factors = told if told is not None else (np.zeros(0), np.zeros(0))
        ids = ids.astype("S64")  # hex digits of a sha256
        order = np.argsort(ids)
        self.ids, self.factors = ids[order], factors[order]

    def of(self, ids: np.ndarray) -> np.ndarray:
        if not len(self.ids):
            return np.ones(len(ids))
        wanted = ids.astype("S64")
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[places] == wanted, self.factors[places], 1.0)


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
