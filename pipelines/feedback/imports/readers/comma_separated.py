"""CSV with a header, comma-separated, UTF-8."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipelines.core.errors import InputError
from pipelines.feedback.events import Refused
from pipelines.feedback.imports.readers.base import LINE_BYTES, SHOWN, Lines, Record, Source


def of_rows(path: Path) -> Source:
    rows = Rows(path.open("rb"))
    header = rows.next()
    if header is None or header.fault:
        rows.file.close()
        raise InputError(f"{path}: no header that can be read: {header.fault if header else 'the file has no lines'}")
    names = [cell.strip() for cell in header.content]
    rows.width = len(names)
    return Source("csv", names, records(rows, names))


def records(rows: Rows, names: list[str]) -> Iterator[Record]:
    with rows.file:
        while (row := rows.next()) is not None:
            yield row if row.fault else Record(row.line, dict(zip(names, row.content, strict=True)), row.done)


class Rows:
    """Lists of cells. A quotation mark that is never closed costs its own line, not those that follow."""

    def __init__(self, file: IO[bytes]) -> None:
        csv.field_size_limit(LINE_BYTES)
        self.file, self.lines = file, Lines(file)
        self.width: int | None = None
        self.waiting: deque[Record] = deque()  # lines that a broken row had taken

    def next(self) -> Record | None:
        """The next row that is not blank; None at the end."""
        while True:
            taken: list[Record] = []
            try:
                cells = next(csv.reader(self.text(taken), strict=True), None)
                if cells and self.width not in (None, len(cells)):
                    raise csv.Error(f"expected {self.width} cells, as in the header, came {len(cells)}")
            except csv.Error as error:
                first, *others = taken
                self.waiting.extendleft(reversed(others))
                return Record(first.line, first.content[:SHOWN], self.lines.done, Refused("not CSV", str(error)))
            if cells:
                return Record(taken[0].line, cells, self.lines.done)
            if not taken or taken[0].fault:
                return taken[0] if taken else None

    def text(self, taken: list[Record]) -> Iterator[str]:
        while (line := self.waiting.popleft() if self.waiting else self.lines.next()) is not None:
            taken.append(line)
            if line.fault:
                return
            yield line.content
