"""A move in a process of its own, which kills itself at a given step, as SIGKILL from outside would at that very point.

Steps are the points from which something outlives the process: before and after each statement that writes, and before each
commit, of the history's database and of the registry's.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

from sqlalchemy import Engine, event

from pipelines.core.project import Project
from pipelines.promotion import moves
from pipelines.registry.client import Registry

CONTEXT = multiprocessing.get_context("forkserver")  # what is slow to import is so once
STORES = [f"mlflow.store.{name}.sqlalchemy_store" for name in ("tracking", "model_registry")]
CONTEXT.set_forkserver_preload([__name__, *STORES, "psycopg", "sqlalchemy.dialects.postgresql.psycopg"])
WRITES = ("INSERT", "UPDATE", "DELETE")


def move(project: Project, model: str, to: int, expected: int | None, step: int = 0) -> tuple[int, int]:
    """The exit code, and how many steps there were if it was not killed."""
    steps = CONTEXT.Value("i", 0)
    process = CONTEXT.Process(target=run, args=(project, model, to, expected, step, steps))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, steps.value


def run(project: Project, model: str, to: int, expected: int | None, step: int, steps: Any) -> None:
    moves.smoke_test = lambda registry, version: None  # the versions hold no model
    writing = False

    def count() -> None:
        steps.value += 1
        if steps.value == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(connection: Any, cursor: Any, words: str, *_: Any) -> None:
        nonlocal writing
        if words.startswith(WRITES):
            writing = True
            count()

    def commit(_: Any) -> None:
        nonlocal writing
        if writing:
            writing = False
            count()

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "after_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    moves.move(project, Registry(project, model, model), to, expected, "killed", "promote", "a test")
