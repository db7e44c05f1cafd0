"""Runs one command in a session of its own, and ends all its processes when the command or its starter ends.

    python supervisor.py STARTER COMMAND...                   any command; STARTER: id of the process that starts this
    python supervisor.py STARTER --repro FILE ARGUMENTS...    `dvc repro ARGUMENTS`, DVC's own messages on descriptor FILE

Linux kills a child with its parent when the child asks for it, but a child that is just starting has not asked yet, and
grandchildren are no children. So this process stands between, and dies last: it kills what the command left, whichever
process was killed before: starter, command, or one below. It imports nothing heavy, to run before the others.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_TIMEOUT = 3.0  # seconds between TERM and KILL


def main(starter: int, command: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: handle_sigterm())
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # an orphan among the descendants becomes our child
    if os.getppid() != starter:  # the starter died before prctl took effect
        return 1
    child = os.fork()
    if child == 0:
        run(command)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_descendants()
    return code if code >= 0 else 128 - code


def run(command: list[str]) -> None:
    """In the child: become the command."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if command[0] == "--repro":
        os._exit(reproduce(int(command[1]), command[2:]))
    os.execvp(command[0], command)


def reproduce(messages: int, arguments: list[str]) -> int:
    # DVC writes through these two, while the stage inherits descriptors 1 and 2: so their outputs are kept apart.
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = os.fdopen(messages, "w", buffering=1)
    sys.argv = ["dvc", "--wait-for-lock", "repro", *arguments]  # so DVC names itself to others in its lock
    from dvc.cli import main

    try:
        return int(main(sys.argv[1:]) or 0)
    finally:
        sys.stderr.flush()


def end_descendants() -> None:
    """End everything below us: TERM, a few seconds, KILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    kill_children()
                time.sleep(0.02)
        except ChildProcessError:  # none is left
            return


def kill_children() -> None:
    """Only our own children: theirs become ours when they die."""
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        for child in children.read().split():
            os.kill(int(child), signal.SIGKILL)


def handle_sigterm() -> None:
    end_descendants()
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
