"""The pinned benchmark on disk: what `reference` writes and every score is measured with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.features.base import Extractor, Features
from pipelines.metrics.inputs import Benchmark

FEATURES = ("holdout.npz", "train.npz")
ADVICE = "`reference` makes it (`genloop run`)"


def benchmark_id(folder: Path, ids: np.ndarray, extractor: str, form: dict[str, Any]) -> str:
    """16 hex digits of a hash of everything that moves a score by which models are compared.

    Real training rows are not part of it: `fid_floor`, `memorisation` and ideals go by them, as those of the model that is
    scored, and may change while the yardstick stays the same.

    folder: holds the extractor's own files, whose content counts; `extractor` is its name.
    ids: (m,) row_ids of the rows held out; their order does not count.
    form: how images were prepared: size, channels, resizing, type of the features.
    """
    content = [sorted(ids.tolist()), extractor, *(files.sha256(path) for path in sorted(folder.glob("extractor.*"))), form]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def write(folder: Path, pinned: Benchmark, extractor: str, form: dict[str, Any]) -> None:
    """Write features and id into `folder`, beside the extractor's own files; `extractor` is its name."""
    assert pinned.train is not None
    assert pinned.ids is not None
    assert pinned.train_ids is not None
    write_features(
        folder / FEATURES[0],
        pinned.holdout,
        labels=pinned.labels,
        ids=pinned.ids.astype("S"),
        pixels=pinned.pixels,
        pixel_labels=pinned.pixel_labels,
    )
    write_features(folder / FEATURES[1], pinned.train, ids=pinned.train_ids.astype("S"), learned=pinned.learned)
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
    return catalogue.get(catalogue.FEATURES, read_description(folder)["extractor"]).load(folder)


def read_description(folder: Path) -> dict[str, Any]:
    with files.content_errors(folder, "benchmark", ADVICE):
        return json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))


def read_pinned(folder: Path) -> Benchmark:
    """All but the extractor, which takes long to load and is needed only for new images."""
    about = read_description(folder)
    with files.content_errors(folder, "benchmark", ADVICE):
        holdout, train = (read_features(folder / name) for name in FEATURES)
        ids = holdout["ids"].astype(str)
        sound = about["benchmark_id"] == benchmark_id(folder, ids, about["extractor"], about["form"]) and all(
            about["features"][name] == files.sha256(folder / name) for name in FEATURES
        )
        of_classes = about["of_classes"]
    if not sound:
        raise InputError(
            f"{folder}: its files are not those of benchmark {about['benchmark_id']}, so scores by them would not be, either; "
            "run `reference` again (`genloop run`)"
        )
    return Benchmark(
        about["benchmark_id"],
        about["classes"],
        features(holdout),
        holdout["labels"],
        features(train),
        of_classes,
        train.get("learned"),
        holdout.get("pixels"),
        holdout.get("pixel_labels"),
        ids,
        train["ids"].astype(str),
    )


def write_features(path: Path, features: Features, **arrays: np.ndarray | None) -> None:
    files.write_arrays(path, vectors=features.vectors, **arrays, probabilities=features.probabilities)


def read_features(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def features(arrays: dict[str, np.ndarray]) -> Features:
    return Features(arrays["vectors"], arrays.get("probabilities"))
