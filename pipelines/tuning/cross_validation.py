"""Cross-validation: the training rows that the model of a trial does not see, and the benchmark of them that scores its images.

The rows that are held out for `evaluate` are not among them. The gate judges by those, and settings that were chosen among many
by their scores there would look better than they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.core import rows, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark, views
from pipelines.settings.schema import Params


@dataclass(frozen=True)
class CvFold:
    """ids: (n,) bytes, row_ids of the rows left out. benchmark: of those among them that data/reference has features of."""

    ids: np.ndarray
    benchmark: Benchmark


def read(project: Project, params: Params) -> list[CvFold]:
    """A fold for each training of a trial.

    Raises:
        InputError: data/reference is not of the rows of data/clean, or there are too few.
    """
    pinned, about = benchmark.read_pinned(project.reference), benchmark.read_description(project.reference)
    labels = read_labels(project.clean)
    assert pinned.train is not None
    assert pinned.train_ids is not None
    if not labels.keys() >= set(pinned.train_ids.tolist()):
        reference, clean = project.relative(project.reference), project.relative(project.clean)
        raise InputError(f"{reference} is of other rows than {clean}; run `reference` again (`genloop run`)")
    train_labels = np.array([labels[row_id] for row_id in pinned.train_ids.tolist()], np.int32)
    ids = np.array(list(labels))
    cv_folds = []
    for left_out, scored in zip(assign(ids, params), assign(pinned.train_ids, params), strict=True):
        if not 2 <= scored.sum() <= len(scored) - 2:
            raise InputError(
                f"of {len(scored):,} training rows {scored.sum():,} would be left out to score trials by, which is too few; "
                "add images, or set fewer tune.folds"
            )
        identity = benchmark.benchmark_id(project.reference, pinned.train_ids[scored], about["extractor"], about["form"])
        pixel_rows = np.flatnonzero(scored)[views.pixel_rows(int(scored.sum()))]
        held_out = replace(
            pinned,
            id=identity,
            holdout=subset(pinned.train, scored),
            labels=train_labels[scored],
            train=subset(pinned.train, ~scored),
            ids=pinned.train_ids[scored],
            train_ids=pinned.train_ids[~scored],
            learned=None if pinned.learned is None else pinned.learned[~scored],
            pixels=views.pixels(rows.load_images(project.clean, pinned.train_ids[pixel_rows])),
            pixel_labels=train_labels[pixel_rows],
        )
        cv_folds.append(CvFold(ids[left_out].astype("S64"), held_out))
    return cv_folds


def read_labels(folder: Path) -> dict[str, int]:
    """The labels of the real training rows by row_id, -1 for none."""
    found: dict[str, int] = {}
    for batch in shards.read(folder, ["row_id", "label", "split", "origin"]):
        columns = (batch[name].to_pylist() for name in ("row_id", "label", "split", "origin"))
        found.update(
            (row_id, -1 if label is None else label)
            for row_id, label, split, origin in zip(*columns, strict=True)
            if (split, origin) == ("train", "real")
        )
    return found


def assign(ids: np.ndarray, params: Params) -> list[np.ndarray]:
    """(n,) bool for each fold, whether a row is in it; by the row's content, so that it stays when the data grows."""
    seed, folds = params.tune.seed, params.tune.folds
    positions = np.array([position(row_id, seed) for row_id in ids.tolist()])
    if folds == 1:
        return [positions < params.clean.holdout]
    return [(positions * folds).astype(int) == number for number in range(folds)]


def position(row_id: str, seed: int) -> float:
    """From 0 on, below 1. Not by the row_id alone, because its first digits decide which rows are held out."""
    return int(hashlib.sha256(f"{seed} {row_id}".encode()).hexdigest()[:13], 16) / 16**13


def subset(features: Features, rows: np.ndarray) -> Features:
    probabilities = features.probabilities
    return Features(features.vectors[rows], None if probabilities is None else probabilities[rows])
