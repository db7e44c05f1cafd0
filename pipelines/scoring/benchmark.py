"""The pinned yardstick on disk: what `reference` writes and every score is measured with."""

from __future__ import annotations

import hashlib
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

FEATURES = ("holdout.npz", "train.npz")


def identity(folder: Path, ids: np.ndarray, extractor: str, form: dict[str, Any]) -> str:
    """16 hex digits of a hash of all that moves a score.

    Args:
        folder: holds the extractor's own files, whose content counts.
        ids: (m,) row_ids of the rows held out; their order does not count.
        extractor: its name.
        form: what images went through: size, channels, resize, type of the features.
    """
    made_of = [sorted(ids.tolist()), extractor, *(files.sha256(path) for path in sorted(folder.glob("extractor.*"))), form]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def write(folder: Path, pinned: Benchmark, extractor: str, form: dict[str, Any]) -> None:
    """Features and id into `folder`, beside the extractor that is there already; `extractor` is its name."""
    assert pinned.train is not None
    assert pinned.ids is not None
    assert pinned.train_ids is not None
    write_features(folder / FEATURES[0], pinned.holdout, labels=pinned.labels, ids=pinned.ids.astype("S"))
    write_features(folder / FEATURES[1], pinned.train, ids=pinned.train_ids.astype("S"))
    about = {
        "benchmark_id": pinned.id,
        "extractor": extractor,
        "classes": pinned.classes,
        "of_classes": pinned.of_classes,
        "form": form,
        "features": {name: files.sha256(folder / name) for name in FEATURES},
    }
    files.write(folder / "benchmark.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def read(folder: Path) -> tuple[Benchmark, Extractor]:
    """Raises InputError where `reference` has not written a whole benchmark, or a part of it is of another one."""
    return read_pinned(folder), read_extractor(folder)


def read_extractor(folder: Path) -> Extractor:
    return catalogue.get(catalogue.FEATURES, read_about(folder)["extractor"]).load(folder)


def read_about(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unusable(folder, error) from None


def unusable(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder}: no usable benchmark ({error}); `reference` makes it (`genloop run`)")


def read_pinned(folder: Path) -> Benchmark:
    """All but the extractor, which takes long to load and is needed only for new images."""
    about = read_about(folder)
    try:
        holdout, train = (read_features(folder / name) for name in FEATURES)
        ids = holdout["ids"].astype(str)
        sound = about["benchmark_id"] == identity(folder, ids, about["extractor"], about["form"]) and all(
            about["features"][name] == files.sha256(folder / name) for name in FEATURES
        )
        known = about["of_classes"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise unusable(folder, error) from None
    if not sound:
        raise InputError(
            f"{folder}: its files are not those of benchmark {about['benchmark_id']}, so no score by them would be; "
            "run `reference` again (`genloop run`)"
        )
    return Benchmark(
        about["benchmark_id"],
        about["classes"],
        features(holdout),
        holdout["labels"],
        features(train),
        known,
        ids,
        train["ids"].astype(str),
    )


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
