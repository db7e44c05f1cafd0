"""The pinned yardstick on disk: what `reference` writes and every score is measured with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor, Features
from pipelines.metrics.inputs import Benchmark


def write(folder: Path, pinned: Benchmark, extractor: str) -> None:
    """Features and id into `folder`, beside the extractor that is there already; `extractor` is its name."""
    assert pinned.train is not None
    assert pinned.ids is not None
    assert pinned.train_ids is not None
    write_features(folder / "holdout.npz", pinned.holdout, labels=pinned.labels, ids=pinned.ids.astype("S"))
    write_features(folder / "train.npz", pinned.train, ids=pinned.train_ids.astype("S"))
    about = {"benchmark_id": pinned.id, "extractor": extractor, "classes": pinned.classes}
    files.write(folder / "benchmark.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def read(folder: Path) -> tuple[Benchmark, Extractor]:
    """Raises InputError where `reference` has not written a whole benchmark."""
    try:
        about = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
        holdout, train = (read_features(folder / f"{split}.npz") for split in ("holdout", "train"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder}: no usable benchmark ({error}); `reference` makes it (`genloop run`)") from None
    extractor = catalogue.get(catalogue.FEATURES, about["extractor"]).load(folder)
    pinned = Benchmark(
        about["benchmark_id"],
        about["classes"],
        features(holdout),
        holdout["labels"],
        features(train),
        extractor.of_classes,
        holdout["ids"].astype(str),
        train["ids"].astype(str),
    )
    return pinned, extractor


def write_features(path: Path, seen: Features, **more: np.ndarray) -> None:
    arrays: dict[str, Any] = {"vectors": seen.vectors, **more}
    if seen.probabilities is not None:
        arrays["probabilities"] = seen.probabilities
    np.savez(path, **arrays)


def read_features(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def features(arrays: dict[str, np.ndarray]) -> Features:
    return Features(arrays["vectors"], arrays.get("probabilities"))
