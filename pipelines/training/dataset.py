"""The training rows: those of data/clean with the changes and weights from feedback, and those that feedback adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.core import files, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.core.rows import Rows
from pipelines.feedback import curated
from pipelines.scoring import approval
from pipelines.settings.schema import Params
from pipelines.training import image_store
from pipelines.training.image_store import ImageArray, ImageStore


@dataclass(frozen=True)
class Dataset:
    """images: (n, size, size, channels) uint8, in memory or on disk. labels: (n,) int32, all 0 without classes.

    weights: (n,) float64, >= 0. classes: their names; empty for an unconditional model. unlabelled: number of rows left out,
    because the others have labels. ids: (n,) bytes, the row_ids, where the caller wants them.
    """

    images: ImageArray
    labels: np.ndarray
    weights: np.ndarray
    classes: list[str]
    unlabelled: int
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: np.ndarray) -> Dataset:
        """Some rows, by number."""
        ids = None if self.ids is None else self.ids[rows]
        images = image_store.ImageSubset(self.images, rows)
        return Dataset(images, self.labels[rows], self.weights[rows], self.classes, self.unlabelled, ids)


def read(project: Project, params: Params, conditional: bool, with_ids: bool = False) -> Dataset:
    """The rows with split `train`.

    Args:
        conditional: whether the family learns classes; if so, rows without a label are left out where others have one.
        with_ids: whether the caller wants the row_ids; there may be millions.

    Raises:
        InputError: too few rows for a batch, rows of another size than params say, or weights that are no weights.
    """
    classes = shards.classes(project.clean) if conditional else []
    most = shards.count(project.clean) + shards.count(project.curated)
    store: ImageStore | None = None
    labels, weights, ids, unlabelled = [], [], [], 0
    for batch in training_rows(project):
        labelled = batch.labels >= 0 if classes else np.ones(len(batch), bool)
        shape = batch.images.shape[1:]
        store = store or image_store.create(most, shape, params.train.max_memory_share, project.checkpoints)
        store.add(batch.images[labelled])
        labels.append(batch.labels[labelled] if classes else np.zeros(len(batch), np.int32))
        weights.append(batch.weights[labelled].astype(np.float64))
        if with_ids:
            ids.append(batch.ids[labelled].astype("S64"))  # hex digits of a sha256
        unlabelled += int((~labelled).sum())
    if store is None:
        raise rows.no_rows(project.clean, "train")
    all_ids = np.concatenate(ids) if with_ids else None
    dataset = Dataset(store.images(), np.concatenate(labels), np.concatenate(weights), classes, unlabelled, all_ids)
    check(project, params, dataset)
    return dataset


def content(project: Project) -> list[str]:
    """Hashes of all files that these rows are read from."""
    tables = (curated.path(project.curated, "changes"), approval.weights_file(project.approval))
    folders = (project.clean, project.curated)
    return [*map(shards.digest, folders), *(files.sha256(path) for path in tables if path.exists())]


def training_rows(project: Project) -> Iterator[Rows]:
    """The rows of data/clean with their changes and weights, then those of data/curated, some at a time."""
    changes = {change["row_id"]: change for change in curated.read_table(project.curated, "changes").to_pylist()}
    factors = WeightFactors(approval.weights(project.approval))
    with Progress("train: read", shards.count(project.clean) + shards.count(project.curated), "rows") as progress:
        for batch in rows.batches(project.clean, "train"):
            batch = apply_changes(batch, changes)
            yield replace(batch, weights=batch.weights * factors.find(batch.ids))
            progress.advance(len(batch))
        if shards.count(project.curated):
            yield from rows.batches(project.curated, "train")


def apply_changes(batch: Rows, changes: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Without the rows that feedback removed, and with the labels that it corrected."""
    changed = [number for number, row_id in enumerate(batch.ids) if row_id in changes]
    if not changed:
        return batch
    labels, keep = batch.labels.copy(), np.ones(len(batch), bool)
    for number in changed:
        change = changes[batch.ids[number]]
        keep[number] = not change["removed"]
        if change["label"] is not None:
            labels[number] = change["label"]
    return Rows(batch.images[keep], labels[keep], batch.weights[keep], batch.ids[keep])


class WeightFactors:
    """Factors of the weights of rows, by row_id; 1 for a row without one. As few bytes as can be, for there may be millions."""

    def __init__(self, weights: tuple[np.ndarray, np.ndarray] | None) -> None:
        ids, factors = weights if weights is not None else (np.zeros(0), np.zeros(0))
        ids = ids.astype("S64")  # hex digits of a sha256
        order = np.argsort(ids)
        self.ids, self.factors = ids[order], factors[order]

    def find(self, ids: np.ndarray) -> np.ndarray:
        if not len(self.ids):
            return np.ones(len(ids))
        keys = ids.astype("S64")
        places = np.minimum(np.searchsorted(self.ids, keys), len(self.ids) - 1)
        return np.where(self.ids[places] == keys, self.factors[places], 1.0)


def check(project: Project, params: Params, dataset: Dataset) -> None:
    check_rows(project, params, len(dataset), dataset.unlabelled, dataset.images.shape[1:])
    check_weights(project, dataset.weights)


def check_rows(project: Project, params: Params, count: int, unlabelled: int, shape: tuple[int, ...]) -> None:
    """Raises InputError where `count` rows are fewer than a batch, or `shape`, of their images, is not that of params."""
    batch = params.train.batch_size
    if count < batch:
        left_out = f" ({unlabelled:,} more have no label)" if unlabelled else ""
        raise InputError(
            f"{project.relative(project.clean)} has {count:,} rows to train on{left_out}, fewer than train.batch_size: "
            f"{batch}; add images, or set train.batch_size to {max(count, 2)} or less"
        )
    expected = (params.image.size, params.image.size, params.image.channels)
    if shape != expected:
        raise InputError(
            f"{project.relative(project.clean)} has images of shape {shape}, expected {expected} "
            "(image.size, image.size, image.channels); run `clean` again (`genloop run`)"
        )


def check_weights(project: Project, weights: np.ndarray) -> None:
    """weights: (n,) float64. Raises InputError where they are no weights."""
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise InputError(
            f"{project.relative(project.approval)}: weights from {weights.min()} to {weights.max()}, expected finite ones from "
            "0 on, not all 0"
        )


def rows_of_classes(dataset: Dataset, classes: np.ndarray, most: int) -> np.ndarray:
    """The numbers of the first `most` rows of each class."""
    return np.concatenate([np.flatnonzero(dataset.labels == label)[:most] for label in classes])
