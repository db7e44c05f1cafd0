"""Parquet, a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.core.errors import InputError
from pipelines.feedback.events import Refused
from pipelines.feedback.imports.readers.base import Record, Source

ROWS = 1000


def of_rows(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file: {str(error).splitlines()[0]}") from None

    def records() -> Iterator[Record]:
        number, count = 0, file.metadata.num_rows
        with file:
            try:
                for batch in file.iter_batches(ROWS, use_threads=False):
                    for row in batch.to_pylist():
                        number += 1
                        yield Record(number, row, number / count)
            except (pa.ArrowException, OSError, ValueError) as error:
                words = f"{str(error).splitlines()[0]}; the rest is not read"
                yield Record(number + 1, "", 1.0, Refused("not Parquet", words))

    return Source("parquet", file.schema_arrow.names, records())
