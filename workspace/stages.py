"""Runs one stage as `dvc repro --single-item` does, in processes that never outlive this one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from typing import NoReturn

from workspace import processes
from workspace.processes import ProgramError


class StageError(ProgramError):
    """A stage failed; what it had to say about it has been shown."""


def repro(name: str, force: bool, log: Callable[[str], None]) -> None:
    """Run the stage to its end; its output goes to the user as it comes, and line by line to `log`.

    Raises:
        StageError: it failed.
    """
    with tempfile.TemporaryFile("w+") as words:
        command = ["--repro", str(words.fileno()), "--single-item", *(["--force"] * force), name]
        if processes.call(command, log, [words.fileno()]) != 0:
            words.seek(0)
            explain(name, words.read())


def explain(name: str, words: str) -> NoReturn:
    """Say how the stage ended. Its own message has been shown; what DVC says counts where the stage never ran."""
    if (found := re.search(r"exited with (-?\d+)", words)) is None:
        chatter = f"ERROR: failed to reproduce '{name}': "
        lines = [line.removeprefix(chatter).removeprefix("ERROR: ") for line in words.splitlines() if line.strip()]
        raise StageError(name, 1, "\n".join(lines) or "killed")
    code = int(found[1])
    code = 128 - code if code > 128 else code  # a shell that stood in between says it so
    raise StageError(name, code, processes.ended(code))
