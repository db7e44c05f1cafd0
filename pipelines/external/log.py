"""The own words of an external trainer: kept in a file up to a size, and its last lines for messages."""

from __future__ import annotations

from collections import deque
from pathlib import Path

MOST_BYTES = 10 * 2**20
LAST_LINES, LINE_LENGTH = 20, 400  # what a message shows
MOST_PENDING = 2**16  # bytes without a line's end: then the line is cut


class TrainerLog:
    """Appends lines to a file, until it is full."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab")
        self.bytes = self.file.tell()
        self.last: deque[bytes] = deque(maxlen=LAST_LINES)

    def add(self, lines: list[bytes]) -> None:
        self.last.extend(lines[-LAST_LINES:])
        room = MOST_BYTES - self.bytes
        if room <= 0:
            return
        text = b"".join(line + b"\n" for line in lines)
        if len(text) > room:
            text = text[:room] + b"\n... cut here: more than the log keeps\n"
        self.bytes += len(text)
        self.file.write(text)
        self.file.flush()

    def tail(self) -> str:
        """The last lines, for people."""
        lines = [line.decode("utf-8", "replace").rstrip()[:LINE_LENGTH] for line in self.last]
        return "\n".join(f"  {line}" for line in lines if line)

    def close(self) -> None:
        self.file.close()


class LineSplitter:
    """Makes lines of the bytes of a stream as they come. A line that is too long is cut into several."""

    def __init__(self) -> None:
        self.pending = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        if len(self.pending) > MOST_PENDING:
            lines.append(self.pending)
            self.pending = b""
        return lines

    def end(self) -> list[bytes]:
        """What came after the last line's end."""
        rest, self.pending = self.pending, b""
        return [rest] if rest else []
