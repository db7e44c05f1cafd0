"""Runs programs in processes that never outlive this one; what they print goes to the user and to a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError, InputError
from workspace import terminal

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PATIENCE = 8.0  # seconds for the supervisor to end what it started


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
    code = 128 - code if code > 128 else code  # the supervisor says it as a shell does
    if code:
        raise ProgramError(name, code, ended(code))


def call(command: Sequence[str], log: Callable[[str], None], inherited: Sequence[int] = ()) -> int:
    """The supervisor's exit code; whatever happens here, nothing is left of what it started.

    Args:
        inherited: descriptors of files that the program may write to.
    """
    with terminal.output() as (ours, theirs):
        try:
            process = start(command, stdout=theirs, stderr=theirs, pass_fds=inherited, env=environment())
        finally:
            os.close(theirs)
        try:
            terminal.relay(ours, process, log)
            return process.wait()
        finally:
            stop(process)


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


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """`command` in a session of its own, under a supervisor that ends it and all below it when we end, even by SIGKILL.

    Linux watches over the thread that calls this: it must live as long as the command may.
    """
    return subprocess.Popen(
        [sys.executable, "-P", str(SUPERVISOR), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the supervisor and what it started: TERM, which it passes on, and KILL if that did not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
