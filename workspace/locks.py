"""Locks: one run at a time in a project, and one fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project

POLL = 0.2  # seconds between two tries to get a lock that another process holds


@contextmanager
def run_lock(project: Project, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the project for one run; the command and the flow inside it may both hold it.

    A file lock rather than Prefect's concurrency limits: it needs no server, and the system releases it when the run dies.
    wait: gets a message before we wait for another run, however long that takes; without it, GenloopError.
    """
    advice = "waiting for it to end" if wait else "wait for it to end, or stop it, and run again"
    with hold(project.logs / "run.lock", f"another run is going on in this project; {advice}", wait):
        yield


@contextmanager
def hold(file: Path, message: str, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file. message: for `wait`, or of the GenloopError, where another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        if wait is None:
            raise GenloopError(message) from None
        wait(message)
        lock.acquire(timeout=-1, poll_interval=POLL)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def fold_lock(project: Project) -> Iterator[None]:
    """Hold data/feedback: while a fold writes it, or while a rater is forgotten. A second one waits."""
    project.logs.mkdir(parents=True, exist_ok=True)
    with FileLock(project.logs / "fold.lock", is_singleton=True):
        yield
