"""What every reader gives, and the bounds that they keep."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from pipelines.feedback.events import Refused

LINE_BYTES = 2**20
SHOWN = 1000  # characters of what could not be read


@dataclass(frozen=True)
class Record:
    line: int  # from 1; of a JSON list and of Parquet the record's number
    content: Any  # what came; text where it could not be read
    done: float  # share of the file that has been read
    fault: Refused | None = None


@dataclass(frozen=True)
class Source:
    kind: str
    columns: list[str] | None  # of a table
    records: Iterator[Record]


class Lines:
    """The lines of a file as text, with their numbers; never more than the limit of one in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size = file, size(file)
        self.number = self.read = 0

    def next(self) -> Record | None:
        """The next line, with a fault where it is too long or no UTF-8; None at the end."""
        line = self.file.readline(LINE_BYTES + 1)
        if not line:
            return None
        self.number += 1
        self.read += len(line)
        if len(line) > LINE_BYTES and not line.endswith(b"\n"):
            self.skip()
            return self.faulty(line, Refused("too long", f"expected a line of at most {LINE_BYTES:,} bytes"))
        if self.number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return Record(self.number, line.decode(), self.done)
        except UnicodeDecodeError as error:
            return self.faulty(line, Refused("not UTF-8", f"byte {error.start + 1} of the line: {error.reason}"))

    def skip(self) -> None:
        """To the line's end."""
        while rest := self.file.readline(LINE_BYTES):
            self.read += len(rest)
            if rest.endswith(b"\n"):
                return

    @property
    def done(self) -> float:
        return self.read / self.size

    def faulty(self, line: bytes, fault: Refused) -> Record:
        return Record(self.number, line[:SHOWN].decode(errors="replace"), self.done, fault)


def size(file: IO[bytes]) -> int:
    found = file.seek(0, 2)
    file.seek(0)
    return max(found, 1)
