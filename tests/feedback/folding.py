"""A fold in a process of its own that kills itself at its n-th step, as SIGKILL from outside would at that very point.

    python folding.py DATABASE_URL FOLDER N

Steps are the calls by which something outlives the process: statements and commits of the database, writes, syncs and renames.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event

from pipelines.feedback import seal
from pipelines.feedback.store import Store


def main(url: str, folder: Path, last: int) -> None:
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

    store = Store.open(url)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(store.engine, name, count)
    os.fsync = counted(os.fsync)
    Path.open, Path.replace = counted(Path.open), counted(Path.replace)  # type: ignore[method-assign]
    seal.fold(store, folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
