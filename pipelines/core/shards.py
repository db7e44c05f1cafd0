"""Rows as immutable Parquet shards, in the columns that Hugging Face `datasets` reads as an image data set."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files
from pipelines.core.errors import InputError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

ROW = pa.schema(
    [
        ("image", IMAGE),
        ("label", pa.int32()),
        ("row_id", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("generation", pa.int32()),
        ("weight", pa.float32()),
        ("events", pa.list_(pa.string())),
        ("split", pa.string()),
        ("source_split", pa.string()),  # the split that the source itself named: train, test, validation; null where none
    ]
)

# A row that a stage refused: its bytes where there are any, and the reason.
QUARANTINED = pa.schema([("image", IMAGE), ("source", pa.string()), ("reason", pa.string())])

SHARD_BYTES = 256 * 2**20
BATCH_ROWS = 2048  # rows of one row group, and of one batch when read: bounds the memory of every stage,
BATCH_BYTES = 32 * 2**20  # and so does this, for large images; whichever is reached first


class ShardWriter:
    """Writes rows into `folder` as `part-<content hash>.parquet`, each at most about 256 MB, whole or not at all."""

    def __init__(self, folder: Path, schema: pa.Schema = ROW, classes: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.schema = schema if schema is QUARANTINED else schema.with_metadata(metadata(classes, schema))
        self.rows = 0
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = 0
        self._file: pq.ParquetWriter | None = None
        self._path = folder / ".part.partial"
        self._bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        self._pending.append(row)
        self._pending_bytes += len(row["image"]["bytes"] or b"")
        self.rows += 1
        if len(self._pending) == BATCH_ROWS or self._pending_bytes >= BATCH_BYTES:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        """Rows as another shard has them, in the columns of this one's schema."""
        self._flush()
        self.rows += len(table)
        self._write(table.cast(self.schema))

    def close(self) -> None:
        self._flush()
        if self.rows == 0:  # a folder without shards would count as missing
            self._open()
        self._seal()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._file is not None:
            self._file.close()

    def _open(self) -> pq.ParquetWriter:
        if self._file is None:
            # Images are compressed already; a dictionary pays for the short strings only.
            short = [name for name in ("source", "origin", "split", "source_split", "reason") if name in self.schema.names]
            self._file = pq.ParquetWriter(self._path, self.schema, compression="zstd", use_dictionary=short)
        return self._file

    def _flush(self) -> None:
        if self._pending:
            self._write(pa.Table.from_pylist(self._pending, schema=self.schema))
            self._pending, self._pending_bytes = [], 0

    def _write(self, table: pa.Table) -> None:
        self._open().write_table(table)
        self._bytes += table.nbytes
        if self._bytes >= SHARD_BYTES:
            self._seal()

    def _seal(self) -> None:
        if self._file is not None:
            self._file.close()
            with self._path.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
                os.fsync(file.fileno())
            self._path.rename(self.folder / f"part-{digest}.parquet")
            files.sync(self.folder)
            self._file, self._bytes = None, 0


def metadata(classes: Sequence[str], schema: pa.Schema = ROW) -> dict[bytes, bytes]:
    """Class names, in the place where Hugging Face `datasets` looks for them."""
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features["label"] = {"names": list(classes), "_type": "ClassLabel"} if classes else {"dtype": "int32", "_type": "Value"}
    for field in schema:
        if field.name == "events":
            features["events"] = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
        elif field.name not in features:
            dtype = {"float": "float32"}.get(str(field.type), str(field.type))
            features[field.name] = {"dtype": dtype, "_type": "Value"}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def list_files(folder: Path) -> list[Path]:
    """The shards of `folder`, in the order in which every stage reads them; raises InputError where there is none."""
    found = sorted(folder.glob("part-*.parquet"))
    if not found:
        raise InputError(f"{folder}: no shards there; the stage that writes them has not run (`genloop run`)")
    return found


def read(folder: Path, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Batches of at most `rows` rows, shard after shard."""
    for part in list_files(folder):
        with pq.ParquetFile(part) as file:
            # Group by group: a batch over several of them would undo the writer's bound on bytes.
            for group in range(file.num_row_groups):
                yield from file.iter_batches(batch_size=rows, row_groups=[group], columns=list(columns) if columns else None)


def relabel(folder: Path, places: Sequence[int | None], classes: Sequence[str]) -> None:
    """Write the shards of `folder` anew, with `places[label]` for each label, and with these classes."""
    before = list_files(folder)
    index = pa.array(places, pa.int32())
    with ShardWriter(folder, classes=classes) as writer:
        for batch in read(folder):
            table = pa.Table.from_batches([batch])
            labels = index.take(batch["label"])
            writer.add_table(table.set_column(table.column_names.index("label"), "label", labels))
    for part in before:
        part.unlink(missing_ok=True)


def take(folder: Path, rows: Iterable[int]) -> dict[int, bytes]:
    """Encoded images of the rows with these numbers, counted through the shards; row groups without any are not read."""
    remaining = sorted({int(row) for row in rows}, reverse=True)
    found: dict[int, bytes] = {}
    first = 0
    for part in list_files(folder):
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                if remaining and remaining[-1] < last:
                    encoded = file.read_row_group(group, columns=["image"])["image"].combine_chunks().field("bytes")
                    while remaining and remaining[-1] < last:
                        row = remaining.pop()
                        found[row] = encoded[row - first].as_py()
                first = last
    return found


def count(folder: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in list_files(folder))


def classes(folder: Path) -> list[str]:
    """Names of the classes; empty where the rows have no labels."""
    stored = (pq.read_schema(list_files(folder)[0]).metadata or {}).get(b"huggingface", b"{}")
    return json.loads(stored).get("info", {}).get("features", {}).get("label", {}).get("names", [])


def digest(folder: Path) -> str:
    """A hash of the data set, by the names of its shards, which are hashes of their content."""
    return hashlib.sha256("\n".join(part.name for part in list_files(folder)).encode()).hexdigest()
