"""Runs programs in processes that never outlive this one; their output goes to the user and to a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from workspace import terminal

SUPERVISOR = Path(__file__).with_name("supervisor.py")
STOP_TIMEOUT = 8.0  # seconds that the supervisor has to end its processes


class ProgramError(GenloopError):
    """A program failed; its own message has been shown."""

    def __init__(self, name: str, code: int, reason: str = "") -> None:
        super().__init__(f"{name}: {reason or describe_end(code)}")
        self.exit_code = InputError.exit_code if code == InputError.exit_code else GenloopError.exit_code


def run(project: Project, name: str, command: Sequence[str], log: Callable[[str], None]) -> None:
    """Run `command`; its output goes to the user as it comes, and line by line to `log`."""
    if code := call(project, command, log):
        raise ProgramError(name, code)


def call(project: Project, command: Sequence[str], log: Callable[[str], None], inherited: Sequence[int] = ()) -> int:
    """Run `command` and return the supervisor's exit code; no process of it survives this call.

    inherited: descriptors of files that the program may write to.
    """
    with terminal.output() as (reader, writer):
        try:
            process = start(project, command, stdout=writer, stderr=writer, pass_fds=inherited)
        finally:
            os.close(writer)
        try:
            terminal.relay(reader, process, log)
            return process.wait()
        finally:
            stop(process)


def describe_end(code: int) -> str:
    """How a program ended, in words; after a signal `code` is negative, or above 128 as in a shell."""
    code = 128 - code if code > 128 else code
    if code >= 0:
        return f"stopped with exit code {code}, for the reason above"
    return f"killed by {signal.Signals(-code).name}{'; the memory may have been full' if code == -signal.SIGKILL else ''}"


def start(project: Project, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, under a supervisor that ends it and all below it when we end, even by SIGKILL.

    Linux ends the supervisor with the thread that calls this, so that thread must live as long as the command.
    """
    variables = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), project.environment.get("PATH", os.defpath)]),
        "SHELL": "/bin/sh",  # DVC starts a stage through it; this shell becomes the stage, others stay its parent
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",  # analytics would leave a process behind
    }
    return subprocess.Popen(
        [sys.executable, "-P", str(SUPERVISOR), str(os.getpid()), *command],
        cwd=project.root,
        env={**project.environment, **variables},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the supervisor and its processes: by TERM, which it passes on, and by KILL if that did not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_TIMEOUT)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
