"""The output of a program: passed on to the user as it comes, and line by line to a log."""

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
READ_TIMEOUT = 1.0  # seconds to go on reading after the process has ended, where another still holds its output open


@contextmanager
def output() -> Iterator[tuple[int, int]]:
    """(reader, writer) for a stage's output: a terminal where the user has one, so that a bar is a bar."""
    if sys.stderr.isatty():
        reader, writer = pty.openpty()
        size = os.get_terminal_size(sys.stderr.fileno())
        termios.tcsetwinsize(writer, (size.lines or 24, size.columns or 80))  # of width 0 a bar would be empty
    else:
        reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)


def relay(reader: int, process: subprocess.Popen[bytes], log: Callable[[str], None]) -> None:
    """Pass on what `process` writes until it ends: bytes to the user, lines to `log`."""
    rest = b""
    try:
        while chunk := read(reader, process):
            write_to_user(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                log_line(line, log)
    finally:
        if rest:  # it ended in the middle of a line; the next message gets its own line
            write_to_user(b"\n")
            log_line(rest, log)


def read(reader: int, process: subprocess.Popen[bytes]) -> bytes:
    while not select([reader], [], [], READ_TIMEOUT)[0]:
        if process.poll() is not None:
            return b""
    try:
        return os.read(reader, 65536)
    except OSError:  # the end of a terminal's output
        return b""


def write_to_user(chunk: bytes) -> None:
    sys.stderr.flush()
    while chunk:
        chunk = chunk[os.write(sys.stderr.fileno(), chunk) :]


def log_line(line: bytes, log: Callable[[str], None]) -> None:
    """A progress bar writes its line again and again; only its last state is worth keeping."""
    text = ESCAPE.sub("", line.decode(errors="replace")).rstrip("\r").rpartition("\r")[2].rstrip()
    if text:
        log(text)
