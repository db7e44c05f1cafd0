"""data/curated: what `curate` makes of all sealed events; `approval`, `train` and the lineage of rows and raters read it.

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
    # Samples that somebody voted on or chose between. Row number = the `sample` of the other tables.
    "samples": pa.schema(
        [
            ("version", pa.int32()),
            ("seed", pa.int64()),
            ("label", pa.int32()),  # among the present classes; null: of none of them
            ("version_label", pa.int32()),  # that its version was given; null: generated without one
            ("prompt", pa.string()),  # that its version was given instead; null: generated without one
            ("generation", pa.int32()),  # 1 + that of its version
            ("image", pa.binary()),  # PNG of params.image's size and channels
            ("liked", pa.float32()),  # probability that it is right to like it, by the votes; near 0.5 where there are none
        ]
    ),
    "votes": pa.schema([("sample", pa.int32()), ("value", pa.int8()), ("weight", pa.float32()), ("event", pa.string())]),
    "choices": pa.schema([("winner", pa.int32()), ("loser", pa.int32()), ("weight", pa.float32()), ("event", pa.string())]),
    # Rows of data/clean that get another label or are left out.
    "changes": pa.schema([("row_id", pa.string()), ("label", pa.int32()), ("removed", pa.bool_()), ("events", EVENTS)]),
    # Flagged images, which must not be shown again; nor, where `wide`, images that look like them.
    "reported": pa.schema([("row_id", pa.string()), ("image", pa.binary()), ("wide", pa.bool_()), ("events", EVENTS)]),
}


@dataclass(frozen=True)
class CuratedSummary:
    """batches: of which it is made. events: their number. generation: the highest of its rows."""

    batches: list[str]
    events: int
    generation: int


def write_table(folder: Path, name: str, columns: Mapping[str, Any]) -> None:
    """One of SCHEMAS; `columns` are lists or arrays of one length."""
    pq.write_table(build_table(name, columns), path(folder, name))


def build_table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMAS[name]})


def read_table(folder: Path, name: str) -> pa.Table:
    """Raises InputError where there is none."""
    try:
        return pq.read_table(path(folder, name), schema=SCHEMAS[name])
    except (OSError, pa.ArrowInvalid) as error:
        raise curated_error(folder, error) from None


def without_images(table: pa.Table) -> list[dict[str, Any]]:
    return table.select([name for name in table.column_names if name != "image"]).to_pylist()


def write_summary(folder: Path, about: CuratedSummary) -> None:
    files.write(folder / "about.json", json.dumps(asdict(about), indent=2) + "\n")


def read_summary(folder: Path) -> CuratedSummary:
    """Raises InputError where there is none."""
    try:
        return CuratedSummary(**json.loads((folder / "about.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise curated_error(folder, error) from None


def path(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"


def curated_error(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder}: not what `curate` writes ({error}); run it again (`genloop run`)")
