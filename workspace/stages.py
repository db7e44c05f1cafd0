"""Runs one stage as `dvc repro --single-item` does, in processes that never outlive this one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from typing import NoReturn

from pipelines.core.project import Project
from workspace import dvc, processes
from workspace.processes import ProgramError


class StageError(ProgramError):
    """A stage failed; its own message has been shown."""


def repro(project: Project, name: str, force: bool, log: Callable[[str], None], commit: bool = True) -> None:
    """Run the stage to its end; its output goes to the user as it comes, and line by line to `log`.

    commit: whether DVC keeps the outputs in its cache.
    """
    with tempfile.TemporaryFile("w+") as messages:
        options = ["--single-item", *(["--force"] * force), *(["--no-commit"] * (not commit))]
        command = ["--repro", str(messages.fileno()), *options, name]
        if processes.call(dvc.with_config(project), command, log, [messages.fileno()]) != 0:
            messages.seek(0)
            raise_stage_error(name, messages.read())


def raise_stage_error(name: str, messages: str) -> NoReturn:
    """Raise a StageError. The stage has shown its own message; DVC's is used where the stage never ran."""
    if (found := re.search(r"exited with (-?\d+)", messages)) is None:
        prefix = f"ERROR: failed to reproduce '{name}': "
        lines = [line.removeprefix(prefix).removeprefix("ERROR: ") for line in messages.splitlines() if line.strip()]
        raise StageError(name, 1, "\n".join(lines) or "killed")
    raise StageError(name, int(found[1]))
