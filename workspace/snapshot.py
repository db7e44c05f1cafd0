"""Keeps data/feedback: in DVC's cache, where every file of it has proved to be, and only then in git."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError
from pipelines.feedback.sealed import manifest
from pipelines.feedback.sealed.manifest import Manifest
from workspace import dvc, git, processes
from workspace.processes import environment

POINTER = paths.FEEDBACK.with_suffix(".dvc")  # what DVC writes beside the folder
SHARED = (POINTER, paths.MANIFEST, paths.FEEDBACK.parent / ".gitignore")
SPARE = 64 * 2**20  # bytes that shall stay free: DVC's own notes, and git's
PATIENCE = 60.0  # seconds to wait for another DVC process
BUSY = ("unable to acquire lock", "is busy")


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def keep(message: str, log: Callable[[str], None] = say) -> bool:
    """Add data/feedback to DVC, then commit what says so; whether there is a commit. What is kept already stays so.

    Raises:
        GenloopError: the disk has no room, DVC could not keep every file, or git could not commit. Nothing is lost: the
            folder is as it was, and the next fold keeps it.
    """
    if paths.FEEDBACK.is_dir():
        check_room()
        with restored(POINTER):
            add()
            dvc.check_added(paths.FEEDBACK)
    return git.commit(SHARED, message, log)


def committed() -> Manifest | None:
    """The manifest of the last commit, if that has one."""
    try:
        return manifest.parse(git.committed(paths.MANIFEST) or "")
    except ValueError:
        return None


def kept() -> bool:
    """Whether `keep` would change nothing, found out without DVC, which takes a second to start."""
    listed = manifest.read()
    if not listed.files and not listed.forgotten:
        return True
    return (noted() or (0, 0)) == present() and not git.changed([path for path in SHARED if path.exists()])


def noted() -> tuple[int, int] | None:
    """(files, bytes) of data/feedback as DVC has it; None where it has not."""
    try:
        (out,) = YAML(typ="safe", pure=True).load(POINTER)["outs"]
        return int(out["nfiles"]), int(out["size"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def present() -> tuple[int, int]:
    sizes = [path.stat().st_size for path in paths.FEEDBACK.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def check_room() -> None:
    """On a full disk DVC says that it has added what it could not keep."""
    with dvc.repository() as repo:
        place = Path(repo.cache.local.path)
    before = POINTER.stat().st_mtime if POINTER.exists() else 0.0
    stats = (path.stat() for path in paths.FEEDBACK.rglob("*") if path.is_file())
    needed = sum(stat.st_size for stat in stats if stat.st_mtime >= before) + SPARE
    while not place.exists():
        place = place.parent
    if (free := shutil.disk_usage(place).free) < needed:
        raise GenloopError(
            f"{place}: {free // 2**20:,} MB are free, and DVC needs {needed // 2**20:,} MB to keep {paths.FEEDBACK}; "
            "make room (`dvc gc --workspace` drops what no version needs) and fold again"
        )


@contextmanager
def restored(path: Path) -> Iterator[None]:
    """If the block fails, `path` is as it was before: DVC writes it although it could not keep what it names."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True) if before is None else files.write(path, before)
        raise


def add() -> None:
    until = time.monotonic() + PATIENCE
    while (words := run("add", "--quiet", str(paths.FEEDBACK))) is not None:
        if not any(busy in words.lower() for busy in BUSY):
            raise GenloopError(f"dvc add {paths.FEEDBACK}: {words}")
        if time.monotonic() > until:
            raise GenloopError(
                f"dvc add {paths.FEEDBACK}: another DVC process has held this project for {PATIENCE:.0f} seconds; "
                "what was folded is whole, fold again when that process has ended"
            )
        time.sleep(1)


def run(*arguments: str) -> str | None:
    """`dvc ARGUMENTS`, with nobody at its terminal; None if it did it, else its words."""
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, "-m", "dvc", *arguments]
        process = processes.start(command, stdout=output, stderr=output, env=environment())
        try:
            if process.wait() == 0:
                return None
        finally:
            processes.stop(process)
        output.seek(0)
        lines = [line.removeprefix("ERROR: ").strip() for line in output if line.strip()]
        return "; ".join(lines[:3]) or f"ended with {process.returncode}"
