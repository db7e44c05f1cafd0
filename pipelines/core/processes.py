"""This process: its environment variables, its standard streams, and its end with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from pipelines.core import environment
from pipelines.core.limits import cores
from pipelines.core.progress import say

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
    # Prefect's server takes a run without a sign of life for dead: flows/automations.py. Otherwise one comes in 180 s.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # An embedded Prefect server needs 13 s to start on two idle cores; the limit is 20 s unless it is raised.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


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
    """Set what the user has not set, and what this machine gets wrong. Called once, before any of those libraries is imported.

    Raises InputError where no folder at all can be written.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if hasattr(os, "sched_getaffinity") and (allowed := cores()) < len(os.sched_getaffinity(0)):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(allowed))  # TensorFlow knows no quota, and would wait for its turn
    found = environment.substitutes(os.environ)
    os.environ.update(found.variables)
    for message in found.messages:  # once: the programs that this one starts find the variables set
        say(f"genloop: {message}")


def ignore_socks_proxies() -> None:
    """Have this process, and those that it starts from now on, go without SOCKS proxies where httpx cannot use them.

    httpx raises an ImportError for one even when it is to ask this very machine.
    """
    for name in environment.socks_proxies(os.environ):
        os.environ[name] = ""
        say(f"{name}: a SOCKS proxy is not used, because Prefect needs socks5:// in its address, and the package socksio")


def flush_stdout() -> None:
    """Write what stdout holds. Where that is not possible, nothing more goes there, and the error is raised: once."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def open_standard_streams() -> None:
    """Give a closed stdin, stdout or stderr /dev/null: the next file that is opened would take its place, and its messages."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    if sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a file's name may be any bytes
