"""One run at a time in one project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from pipelines.core import paths
from pipelines.core.errors import GenloopError

LOCK = paths.LOGS / "run.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the project for one run; the command and the flow inside it may both ask.

    A file's lock rather than Prefect's concurrency limits: it needs no server, and is given back when the run dies.

    Raises:
        GenloopError: another run holds it.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(LOCK.resolve(), timeout=0, is_singleton=True).acquire()
    except Timeout:
        raise GenloopError("another run is going on in this project; wait for it to end, or stop it, and run again") from None
    with lock:
        yield
