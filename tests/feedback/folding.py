"""Folds in processes of their own, each killing itself at its n-th step, as SIGKILL from outside would at that very point.

    python folding.py DATABASE_URL FOLDER

reads one N a line and answers each with how the fold ended: 0 when it had fewer steps, or the signal's number below 0. Steps
are the calls by which something outlives the process: statements and commits of the database, writes, syncs and renames.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event

from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore


def fold(url: str, folder: Path, last: int) -> None:
    step = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal step
        step += 1
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            count()
            result = function(*arguments, **named)
            count()
            return result

        return call

    store = EventStore.open(url)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(store.engine, name, count)
    os.fsync = counted(os.fsync)
    Path.open, Path.replace = counted(Path.open), counted(Path.replace)  # type: ignore[method-assign]
    seal.fold(store, folder)


def main(url: str, folder: Path) -> None:
    """Each fold is a copy of this process, which has imported all there is to import: that took a second each time."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            fold(url, folder, int(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
