"""data/approval: the model of what people like, and the weights of rows that follow from it; made by `approval`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files
from pipelines.core.errors import InputError

MODEL = "model.npz"  # missing where too little is known of what people like
WEIGHTS = pa.schema([("row_id", pa.string()), ("weight", pa.float64()), ("approval", pa.float64())])
ADVICE = "run `approval` again (`genloop run`)"


@dataclass(frozen=True)
class ApprovalModel:
    """How likely people like an image, by its views (views.py): the logistic function of views @ direction + bias.

    direction: (v,) float64. benchmark_id: of the benchmark whose extractor computes the features.
    """

    direction: np.ndarray
    bias: float
    benchmark_id: str

    def predict(self, image_views: np.ndarray) -> np.ndarray:
        """(n,) float64, 0..1, of (n, v) views."""
        from scipy.special import expit  # here, because scipy takes longer to load than all else that reads this module

        return expit(image_views.astype(np.float64) @ self.direction + self.bias)


def read(folder: Path) -> ApprovalModel | None:
    """None where too little is known of what people like; raises InputError where the file is no such model."""
    place = folder / MODEL
    if not place.exists():
        return None
    with files.content_errors(place, "model", ADVICE), np.load(place, allow_pickle=False) as stored:
        return ApprovalModel(stored["direction"], float(stored["bias"]), str(stored["benchmark_id"]))


def weights(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """(n,) str row_ids of real training rows and (n,) float64 factors of their weights, 1 on average; None for no change.

    Raises InputError where the file has no such weights.
    """
    return read_weights(weights_file(folder))


def holdout_weights(folder: Path, ids: np.ndarray) -> np.ndarray | None:
    """(m,) float64 weights of the held-out rows `ids` (m,), 1 on average; None where it is not known what people like.

    Raises InputError where the file has no such weights, or those of other rows.
    """
    found = read_weights(place := holdout_file(folder))
    if found is None:
        return None
    by_id = dict(zip(found[0].tolist(), found[1].tolist(), strict=True))
    if by_id.keys() != set(ids.tolist()):
        raise InputError(
            f"{place} has weights of {len(by_id):,} held-out rows, but not of the {len(ids):,} of the benchmark; {ADVICE}"
        )
    return np.array([by_id[row_id] for row_id in ids.tolist()])


def read_weights(place: Path) -> tuple[np.ndarray, np.ndarray] | None:
    if not place.exists():
        return None
    with files.content_errors(place, "weights", ADVICE):
        table = pq.read_table(place, schema=WEIGHTS)
    return table["row_id"].to_numpy(), table["weight"].to_numpy()


def weights_file(folder: Path) -> Path:
    """The file of the weights; missing where nothing changes."""
    return folder / "weights.parquet"


def holdout_file(folder: Path) -> Path:
    """The file of the weights of held-out rows, by which versions are compared; missing where nothing is known."""
    return folder / "holdout.parquet"


def write(folder: Path, about: dict[str, Any], model: ApprovalModel | None) -> None:
    """Write the figures, and the model where one is used."""
    files.write(folder / "approval.json", json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    if model is not None:
        files.write_arrays(folder / MODEL, direction=model.direction, bias=model.bias, benchmark_id=model.benchmark_id)


def write_weights(place: Path, ids: np.ndarray, weights: np.ndarray, approval: np.ndarray) -> None:
    """Write the weights of n rows; `approval` is how likely people like each."""
    pq.write_table(pa.table([ids, weights, approval], schema=WEIGHTS), place)
