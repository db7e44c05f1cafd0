"""CSV with a header, comma-separated, UTF-8."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO

from pipelines.core.errors import InputError
from pipelines.feedback.events import RecordError
from pipelines.feedback.imports.base import Format, ImportFile, Record
from pipelines.feedback.imports.columns import check_table
from pipelines.feedback.imports.lines import LINE_BYTES, SHOWN, Lines


class CommaSeparated(Format):
    suffixes = (".csv",)

    def columns(self, file: ImportFile) -> list[str]:
        with file.open_text() as opened:
            return header(CsvRows(opened), file)

    def records(self, file: ImportFile) -> Iterator[Record]:
        with file.open_text() as opened:
            rows = CsvRows(opened)
            names = header(rows, file)
            while (row := rows.next(len(names))) is not None:
                yield row if row.fault else Record(row.line, dict(zip(names, row.content, strict=True)), row.done)


def header(rows: CsvRows, file: ImportFile) -> list[str]:
    first = rows.next()
    if first and first.fault:
        check_table([first.content], file.path)
    if first is None or first.fault:
        raise InputError(f"{file.path}: no header that can be read: {first.fault if first else 'the file has no lines'}")
    return [cell.strip() for cell in first.content]


class CsvRows:
    """Lists of cells. A quotation mark that is never closed costs its own line, not those that follow."""

    def __init__(self, file: IO[bytes]) -> None:
        csv.field_size_limit(LINE_BYTES)
        self.lines = Lines(file)
        self.waiting: deque[Record] = deque()  # lines that a broken row had taken

    def next(self, width: int | None = None) -> Record | None:
        """The next row that is not blank, with a fault where it has not `width` cells; None at the end."""
        while True:
            taken: list[Record] = []
            try:
                cells = next(csv.reader(self.text(taken), strict=True), None)
                if cells and width not in (None, len(cells)):
                    raise csv.Error(f"expected {width} cells, as in the header, came {len(cells)}")
            except csv.Error as error:
                first, *others = taken
                self.waiting.extendleft(reversed(others))
                return Record(first.line, first.content[:SHOWN], self.lines.done, RecordError("not CSV", str(error)))
            if cells:
                return Record(taken[0].line, cells, self.lines.done)
            if not taken or taken[0].fault:
                return taken[0] if taken else None

    def text(self, taken: list[Record]) -> Iterator[str]:
        """Lines of text, which are written down in `taken`."""
        while (line := self.waiting.popleft() if self.waiting else self.lines.next()) is not None:
            taken.append(line)
            if line.fault:
                return
            yield line.content
