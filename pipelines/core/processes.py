"""This process: its cores, its environment variables, and its end with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# What libraries read when they are imported, with the values that suit Genloop.
DEFAULTS = {
    # What is an error to TensorFlow's log is an optimisation that it gave up; real errors come as exceptions.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # MLflow's GitPython complains where there is no git
    "GX_ANALYTICS_ENABLED": "false",
    # Prefect's log goes to its page; on the terminal are the stages' own words, once.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # An embedded Prefect server needs 13 s to start on two idle cores; the limit is 20 s unless it is raised.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to kill this process when its parent dies, so that no stage outlives a killed `dvc` or flow.

    parent: its process id where it is known, because the parent may die before this process asks.
    DVC starts a stage in a session of its own and cannot clean up after SIGKILL; a second trainer on the same
    checkpoints would be the price. Elsewhere than on Linux this does nothing.
    """
    if sys.platform == "linux":
        parent = parent or os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os.kill(os.getpid(), signal.SIGKILL)


def set_defaults() -> None:
    """Set what the user has not set. Called once, when a program starts, before any of those libraries is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
