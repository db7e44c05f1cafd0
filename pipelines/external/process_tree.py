"""The processes of an external training: started below one that ends them all, measured, and ended, whatever they do.

The supervisor of workspace/ is between: it ends what is below it when this process ends, even by SIGKILL, and what the command
has left behind, even in other sessions. Should the supervisor itself be killed, a mark in their environment finds the others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from workspace import processes

MARK = "GENLOOP_TRAINER"


class ProcessTree:
    """A command and all processes that come of it. Close it in a `with`: none is left then."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(processes.SUPERVISOR), str(os.getpid()), *command],
            cwd=folder,
            env={**environment, MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def resident_bytes(self) -> int:
        """Memory of all processes together. Pages that several share, as processes do that were forked, count for each."""
        with contextlib.suppress(psutil.Error):
            return sum(memory(process) for process in psutil.Process(self.process.pid).children(recursive=True))
        return 0

    def shared_bytes(self) -> int:
        """The same, with each shared page divided by those who share it; it takes longer to find out."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error, AttributeError):
                    total += process.memory_full_info().pss
        return total

    def wait(self) -> int:
        """The exit code of the command; above 128 where a signal ended it."""
        return self.process.wait()

    def __enter__(self) -> ProcessTree:
        return self

    def __exit__(self, *error: object) -> None:
        processes.stop(self.process)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        for number in marked(self.mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended
        return 0


def marked(mark: str) -> Iterator[int]:
    """The ids of processes that carry the mark in their environment; none where the system does not show it."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
