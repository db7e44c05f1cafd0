"""Temporary folders that tell whether a process still uses them: one that a killed process left can be found and removed.

Each is locked by the process that made it, and the system releases the lock when that process ends, however it ends. Neither
age nor the number of a process would tell: a training takes days, and a container numbers its own processes.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "genloop-tmp-"
BEGINNING = 600.0  # seconds in which a folder may exist and not be locked yet; a thousandth of one is usual


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A `tempfile.TemporaryDirectory` that is locked as long as it is used."""

    def __init__(self) -> None:
        super().__init__(prefix=PREFIX)
        held = lock(Path(self.name))
        self._release = weakref.finalize(self, os.close, held) if held is not None else None

    def cleanup(self) -> None:
        super().cleanup()
        if self._release is not None:
            self._release()


def leftovers() -> list[Path]:
    """Those of this user that no process uses."""
    found = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with unused(folder) as free:
            if free:
                found.append(folder)
    return found


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether no process uses the folder; while the block lasts, none takes it for one that is left over."""
    try:
        about = folder.lstat()
        own = os.path.isdir(folder) and not folder.is_symlink() and about.st_uid == os.geteuid()
        held = lock(folder) if own and time.time() - about.st_mtime > BEGINNING else None
    except OSError:  # it is gone
        held = None
    try:
        yield held is not None
    finally:
        if held is not None:
            os.close(held)


def lock(folder: Path) -> int | None:
    """The open descriptor that holds the lock; None where it cannot be had."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another process, or on a file system without locks, where nothing is ever taken for left over
        os.close(descriptor)
        return None
    return descriptor
