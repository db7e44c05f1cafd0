"""Runs one stage as `dvc repro --single-item` does, in processes that never outlive this one."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from flows import processes, terminal
from pipelines.core.errors import GenloopError, InputError


class StageError(GenloopError):
    """A stage failed; what it had to say about it has been shown."""

    def __init__(self, stage: str, code: int, words: str) -> None:
        super().__init__(f"{stage}: {words}")
        self.exit_code = InputError.exit_code if code == InputError.exit_code else GenloopError.exit_code


def repro(name: str, force: bool, log: Callable[[str], None]) -> None:
    """Run the stage to its end; its output goes to the user as it comes, and line by line to `log`.

    Raises:
        StageError: it failed.
    """
    with tempfile.TemporaryFile("w+") as words:
        command = ["--repro", str(words.fileno()), "--single-item", *(["--force"] * force), name]
        if run(command, words.fileno(), log) != 0:
            words.seek(0)
            explain(name, words.read())


def run(command: list[str], words: int, log: Callable[[str], None]) -> int:
    """The keeper's exit code; whatever happens here, nothing is left of what it started."""
    with terminal.output() as (ours, theirs):
        try:
            process = processes.start(command, stdout=theirs, stderr=theirs, pass_fds=[words], env=environment())
        finally:
            os.close(theirs)
        try:
            terminal.relay(ours, process, log)
            return process.wait()
        finally:
            processes.stop(process)


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "SHELL": "/bin/sh",  # DVC starts a stage through it; this one becomes the stage, others would stand in between
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",  # it would leave a process behind
    }


def explain(name: str, words: str) -> NoReturn:
    """Say how the stage ended. Its own message has been shown; what DVC says counts where the stage never ran."""
    if (found := re.search(r"exited with (-?\d+)", words)) is None:
        chatter = f"ERROR: failed to reproduce '{name}': "
        lines = [line.removeprefix(chatter).removeprefix("ERROR: ") for line in words.splitlines() if line.strip()]
        raise StageError(name, 1, "\n".join(lines) or "killed")
    code = int(found[1])
    code = 128 - code if code > 128 else code  # a shell that stood in between says it so
    if code < 0:
        cause = "; was memory short?" if code == -signal.SIGKILL else ""
        raise StageError(name, code, f"killed by {signal.Signals(-code).name}{cause}")
    raise StageError(name, code, f"stopped with exit code {code}, for the reason above")
