"""Starts programs that end when we do, whatever ends us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEEPER = Path(__file__).with_name("keeper.py")
PATIENCE = 8.0  # seconds for the keeper to end what it started


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """`command` in a session of its own, under a keeper that ends it and all below it when we end, even by SIGKILL.

    Linux watches over the thread that calls this: it must live as long as the command may.
    """
    return subprocess.Popen(
        [sys.executable, "-P", str(KEEPER), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the keeper and what it keeps: TERM, which it passes on, and KILL if that did not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
