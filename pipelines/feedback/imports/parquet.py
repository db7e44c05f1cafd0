"""Parquet, a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core.errors import InputError
from pipelines.feedback.events import RecordError
from pipelines.feedback.imports import foreign
from pipelines.feedback.imports.base import Format, ImportFile, Match, Record

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS = 1000


class ParquetRows(Format):
    suffixes = (".parquet",)

    def match(self, file: ImportFile) -> Match:
        return Match.SIGNATURE if file.start.startswith(b"PAR1") else super().match(file)

    def columns(self, file: ImportFile) -> list[str]:
        with open_parquet(file.path) as found:
            return list(found.schema_arrow.names)

    def records(self, file: ImportFile) -> Iterator[Record]:
        import pyarrow as pa

        number = 0
        with open_parquet(file.path) as found:
            total = found.metadata.num_rows
            try:
                for batch in found.iter_batches(ROWS, use_threads=False):
                    for row in batch.to_pylist():
                        number += 1
                        yield Record(number, row, number / total)
            except (pa.ArrowException, OSError, ValueError) as error:
                fault = RecordError("not Parquet", f"{str(error).splitlines()[0]}; the rest is not read")
                for lost in range(number + 1, total + 1):  # each is counted, so that the sums agree with the file
                    yield Record(lost, "", lost / total, fault)


def open_parquet(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        if what := foreign.describe_start(ImportFile.open(path).start):
            raise InputError(f"{path}: this is {what}") from None
        raise InputError(f"{path}: not a whole Parquet file: {str(error).splitlines()[0]}") from None
