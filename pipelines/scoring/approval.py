"""data/approval: what people like, as `approval` found out. Training weighs rows by it, scores and the studio predict by it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from pipelines.core import files, paths
from pipelines.core.errors import InputError

MODEL = paths.APPROVAL / "model.npz"  # there where enough is known of what people like
WEIGHTS = pa.schema([("row_id", pa.string()), ("weight", pa.float64()), ("approval", pa.float64())])


@dataclass(frozen=True)
class Approval:
    """How likely people like an image, by what `views.py` says of it: the logistic function of views @ direction + bias.

    direction: (v,) float64. benchmark_id: whose extractor the features have to be by.
    """

    direction: np.ndarray
    bias: float
    benchmark_id: str

    def predict(self, seen: np.ndarray) -> np.ndarray:
        """(n,) float64, 0..1, of (n, v) views."""
        return expit(seen.astype(np.float64) @ self.direction + self.bias)


def read(folder: Path = paths.APPROVAL) -> Approval | None:
    """None where too little is known of what people like.

    Raises:
        InputError: what lies there is no such model.
    """
    place = folder / MODEL.name
    if not place.exists():
        return None
    try:
        with np.load(place, allow_pickle=False) as stored:
            return Approval(stored["direction"], float(stored["bias"]), str(stored["benchmark_id"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{place}: no usable model ({error}); run `approval` again (`genloop run`)") from None


def weights(folder: Path = paths.APPROVAL) -> tuple[np.ndarray, np.ndarray] | None:
    """(n,) str row_ids of real training rows and (n,) float64 what their weights are multiplied by, 1 on average; None where
    nothing changes.

    Raises:
        InputError: what lies there are no such weights.
    """
    place = path(folder)
    if not place.exists():
        return None
    try:
        table = pq.read_table(place, schema=WEIGHTS)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{place}: no usable weights ({error}); run `approval` again (`genloop run`)") from None
    return table["row_id"].to_numpy(), table["weight"].to_numpy()


def path(folder: Path = paths.APPROVAL) -> Path:
    """The file of the weights, which is there where there are some."""
    return folder / "weights.parquet"


def write(folder: Path, about: dict[str, Any], model: Approval | None) -> None:
    """What was found out, in words and figures, and the model if it is to be believed."""
    files.write(folder / "approval.json", json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    if model is not None:
        content = io.BytesIO()
        np.savez(content, direction=model.direction, bias=model.bias, benchmark_id=model.benchmark_id)
        files.write(folder / MODEL.name, content.getvalue())


def write_weights(folder: Path, ids: np.ndarray, weights: np.ndarray, approval: np.ndarray) -> None:
    """Of n rows; `approval` is how likely people like each."""
    pq.write_table(pa.table([ids, weights, approval], schema=WEIGHTS), path(folder))
