"""What a stage prints: to the user as it comes, and line by line to whoever keeps a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TAIL = 1.0  # seconds to go on reading when the process has ended but somebody still holds its output open


@contextmanager
def output() -> Iterator[tuple[int, int]]:
    """(read end, write end) for a stage's output: a terminal where the user has one, so that a bar is a bar."""
    if sys.stderr.isatty():
        ours, theirs = pty.openpty()
        size = os.get_terminal_size(sys.stderr.fileno())
        termios.tcsetwinsize(theirs, (size.lines or 24, size.columns or 80))  # of width 0 a bar would be empty
    else:
        ours, theirs = os.pipe()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def relay(ours: int, process: subprocess.Popen[bytes], keep: Callable[[str], None]) -> None:
    """Pass on what `process` writes until it ends: bytes to the user, lines to `keep`."""
    rest = b""
    try:
        while chunk := read(ours, process):
            show(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                settled(line, keep)
    finally:
        if rest:  # stopped in the middle of a line: what is said next shall have its own
            show(b"\n")
            settled(rest, keep)


def read(ours: int, process: subprocess.Popen[bytes]) -> bytes:
    while not select([ours], [], [], TAIL)[0]:
        if process.poll() is not None:
            return b""
    try:
        return os.read(ours, 65536)
    except OSError:  # so a terminal says that nobody writes to it any more
        return b""


def show(chunk: bytes) -> None:
    sys.stderr.flush()
    while chunk:
        chunk = chunk[os.write(sys.stderr.fileno(), chunk) :]


def settled(line: bytes, keep: Callable[[str], None]) -> None:
    """A progress bar writes its line again and again; only what it came to is worth keeping."""
    text = ESCAPE.sub("", line.decode(errors="replace")).rstrip("\r").rpartition("\r")[2].rstrip()
    if text:
        keep(text)
