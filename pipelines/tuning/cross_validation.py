"""Which training rows a trial's model does not see, and the benchmark that they are: what its drawings are held against.

The rows that are held out for `evaluate` take no part in it. The gate judges by them, and settings that were chosen among many
by how they score there would look better than they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from pipelines.core import paths, shards
from pipelines.core.errors import InputError
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark
from pipelines.settings.schema import Params


@dataclass(frozen=True)
class Part:
    """ids: row_ids that are left out, (n,) bytes. benchmark: of those that data/reference has features of."""

    ids: np.ndarray
    benchmark: Benchmark


def read(params: Params) -> list[Part]:
    """One for each training of a trial.

    Raises:
        InputError: data/reference is not of the rows of data/clean, or there are too few.
    """
    pinned, about = benchmark.read_pinned(paths.REFERENCE), benchmark.read_about(paths.REFERENCE)
    labels = real_rows()
    assert pinned.train is not None
    assert pinned.train_ids is not None
    if not labels.keys() >= set(pinned.train_ids.tolist()):
        raise InputError(f"{paths.REFERENCE} is of other rows than {paths.CLEAN}; run `reference` again (`genloop run`)")
    known = np.array([labels[row_id] for row_id in pinned.train_ids.tolist()], np.int32)
    ids = np.array(list(labels))
    found = []
    for every, seen in zip(dealt(ids, params), dealt(pinned.train_ids, params), strict=True):
        if not 2 <= seen.sum() <= len(seen) - 2:
            raise InputError(
                f"of {len(seen):,} training rows {seen.sum():,} would be left out to score trials by, which is too few; "
                "add images, or set fewer tune.folds"
            )
        identity = benchmark.identity(paths.REFERENCE, pinned.train_ids[seen], about["extractor"], about["form"])
        held_out = replace(
            pinned,
            id=identity,
            holdout=some(pinned.train, seen),
            labels=known[seen],
            train=some(pinned.train, ~seen),
            ids=pinned.train_ids[seen],
            train_ids=pinned.train_ids[~seen],
        )
        found.append(Part(ids[every].astype("S64"), held_out))
    return found


def real_rows() -> dict[str, int]:
    """The real training rows and their labels, -1 for none."""
    found: dict[str, int] = {}
    for batch in shards.read(paths.CLEAN, ["row_id", "label", "split", "origin"]):
        columns = (batch[name].to_pylist() for name in ("row_id", "label", "split", "origin"))
        found.update(
            (row_id, -1 if label is None else label)
            for row_id, label, split, origin in zip(*columns, strict=True)
            if (split, origin) == ("train", "real")
        )
    return found


def dealt(ids: np.ndarray, params: Params) -> list[np.ndarray]:
    """(n,) bool for each part, whether a row is in it: by its content, so that it stays there when the data grows."""
    seed, folds = params.tune.seed, params.tune.folds
    places = np.array([place(row_id, seed) for row_id in ids.tolist()])
    if folds == 1:
        return [places < params.clean.holdout]
    return [(places * folds).astype(int) == number for number in range(folds)]


def place(row_id: str, seed: int) -> float:
    """0 <= place < 1. Not by the row_id alone, whose first digits have already chosen the rows that are held out."""
    return int(hashlib.sha256(f"{seed} {row_id}".encode()).hexdigest()[:13], 16) / 16**13


def some(features: Features, rows: np.ndarray) -> Features:
    known = features.probabilities
    return Features(features.vectors[rows], None if known is None else known[rows])
