"""The lines of a text file, one after the other, each bounded."""

from __future__ import annotations

import codecs
from typing import IO

from pipelines.feedback.events import RecordError
from pipelines.feedback.imports.base import Record

LINE_BYTES = 2**20
SHOWN = 1000  # characters of what could not be read


class Lines:
    """The lines of a file as text, with their numbers; never more than the limit of one in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size = file, size(file)
        self.number = self.bytes_read = 0

    def next(self) -> Record | None:
        """The next line, with a fault where it is too long or no UTF-8; None at the end."""
        line = self.file.readline(LINE_BYTES + 1)
        if not line:
            return None
        self.number += 1
        self.bytes_read += len(line)
        if len(line) > LINE_BYTES and not line.endswith(b"\n"):
            while rest := self.file.readline(LINE_BYTES):  # to the line's end
                self.bytes_read += len(rest)
                if rest.endswith(b"\n"):
                    break
            return self.faulty(line, RecordError("too long", f"expected a line of at most {LINE_BYTES:,} bytes"))
        if self.number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return Record(self.number, line.decode(), self.done)
        except UnicodeDecodeError as error:
            return self.faulty(line, RecordError("not UTF-8", f"byte {error.start + 1} of the line: {error.reason}"))

    @property
    def done(self) -> float:
        return self.bytes_read / self.size

    def faulty(self, line: bytes, fault: RecordError) -> Record:
        return Record(self.number, line[:SHOWN].decode(errors="replace"), self.done, fault)


def size(file: IO[bytes]) -> int:
    found = file.seek(0, 2)
    file.seek(0)
    return max(found, 1)
