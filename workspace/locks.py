"""One run at a time in one project, and one fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from pipelines.core import paths
from pipelines.core.errors import GenloopError

LOCK = paths.LOGS / "run.lock"
FOLDING = paths.LOGS / "fold.lock"
LOOK = 0.2  # seconds between two looks at a lock that another holds


@contextmanager
def alone(wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the project for one run; the command and the flow inside it may both ask.

    A file's lock rather than Prefect's concurrency limits: it needs no server, and is given back when the run dies.

    Args:
        wait: wait for a run that is going on, however long that takes, and tell this so.

    Raises:
        GenloopError: another run holds it, and `wait` was not given.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCK.resolve(), timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        if wait is None:
            words = "another run is going on in this project; wait for it to end, or stop it, and run again"
            raise GenloopError(words) from None
        wait("another run is going on in this project; waiting for it to end")
        lock.acquire(timeout=-1, poll_interval=LOOK)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def folding() -> Iterator[None]:
    """Hold data/feedback: while a fold writes it, or while a rater is forgotten. Who comes second waits."""
    FOLDING.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDING.resolve(), is_singleton=True):
        yield
