"""data/curated: what all sealed events come to. `curate` writes it, `approval`, `train` and the trail read it.

Beside the rows that feedback adds (shards as in data/clean, origin `upload` or `generated`) there are five tables. None of them
names a rater: they name events, and only the sealed events say whose those are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files
from pipelines.core.errors import InputError

EVENTS = pa.list_(pa.string())

SCHEMAS = {
    # Drawn images that somebody voted on or chose between. Row number = the `sample` of the other tables.
    "samples": pa.schema(
        [
            ("version", pa.int32()),
            ("seed", pa.int64()),
            ("label", pa.int32()),  # null: drawn without one
            ("generation", pa.int32()),  # 1 + that of the model that drew it
            ("image", pa.binary()),  # PNG of params.image's size and channels
            ("liked", pa.float32()),  # probability that it is right to like it, by the votes; 0.5 and so where there are none
        ]
    ),
    "votes": pa.schema([("sample", pa.int32()), ("value", pa.int8()), ("weight", pa.float32()), ("event", pa.string())]),
    "choices": pa.schema([("winner", pa.int32()), ("loser", pa.int32()), ("weight", pa.float32()), ("event", pa.string())]),
    # Of rows of data/clean: another label, or to be left out.
    "changes": pa.schema([("row_id", pa.string()), ("label", pa.int32()), ("removed", pa.bool_()), ("events", EVENTS)]),
    # Images that must not be drawn again.
    "reported": pa.schema(
        [
            ("row_id", pa.string()),
            ("image", pa.binary()),
            ("wide", pa.bool_()),  # nor what looks like it
            ("events", EVENTS),
        ]
    ),
}


@dataclass(frozen=True)
class About:
    """batches: names of the folds that it is made of. events: their number. generation: the highest of its rows."""

    batches: list[str]
    events: int
    generation: int


def write_table(folder: Path, name: str, columns: Mapping[str, Any]) -> None:
    """One of SCHEMAS; `columns` are lists or arrays of one length."""
    schema = SCHEMAS[name]
    pq.write_table(pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}), path(folder, name))


def read_table(folder: Path, name: str) -> pa.Table:
    """Raises InputError where there is none."""
    try:
        return pq.read_table(path(folder, name), schema=SCHEMAS[name])
    except (OSError, pa.ArrowInvalid) as error:
        raise missing(folder, error) from None


def write_about(folder: Path, about: About) -> None:
    files.write(folder / "about.json", json.dumps(asdict(about), indent=2) + "\n")


def read_about(folder: Path) -> About:
    """Raises InputError where there is none."""
    try:
        return About(**json.loads((folder / "about.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise missing(folder, error) from None


def path(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"


def missing(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder}: not what `curate` writes ({error}); run it again (`genloop run`)")
