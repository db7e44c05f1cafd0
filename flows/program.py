"""Runs a program to its end, in processes that never outlive this one; what it says goes to the user and to a log."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flows import processes, terminal
from pipelines.core.errors import GenloopError, InputError


class ProgramError(GenloopError):
    """A program failed; what it had to say about it has been shown."""

    def __init__(self, name: str, code: int, words: str) -> None:
        super().__init__(f"{name}: {words}")
        self.exit_code = InputError.exit_code if code == InputError.exit_code else GenloopError.exit_code


def run(name: str, command: Sequence[str], log: Callable[[str], None]) -> None:
    """Its output goes to the user as it comes, and line by line to `log`.

    Raises:
        ProgramError: it failed.
    """
    code = call(command, log)
    code = 128 - code if code > 128 else code  # the keeper says it as a shell does
    if code:
        raise ProgramError(name, code, ended(code))


def call(command: Sequence[str], log: Callable[[str], None], inherited: Sequence[int] = ()) -> int:
    """The keeper's exit code; whatever happens here, nothing is left of what it started.

    Args:
        inherited: descriptors of files that the program may write to.
    """
    with terminal.output() as (ours, theirs):
        try:
            process = processes.start(command, stdout=theirs, stderr=theirs, pass_fds=inherited, env=environment())
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


def ended(code: int) -> str:
    """How a program ended, in words; `code` is negative where a signal ended it."""
    if code >= 0:
        return f"stopped with exit code {code}, for the reason above"
    return f"killed by {signal.Signals(-code).name}{'; was memory short?' if code == -signal.SIGKILL else ''}"
