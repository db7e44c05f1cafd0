"""How many cores a process may use, and how it ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to kill this process when its parent dies, so that no stage outlives a killed `dvc` or flow.

    Args:
        parent: its process id where it is known; the parent may have died before this process came to ask.

    DVC starts a stage in a session of its own doing and cannot clean up after SIGKILL; a second trainer on the same
    checkpoints would be the price. Elsewhere than on Linux this does nothing.
    """
    if sys.platform == "linux":
        parent = parent or os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os.kill(os.getpid(), signal.SIGKILL)
