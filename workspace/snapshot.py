"""A snapshot of data/feedback: in DVC's cache and, once every file is known to be there, in git."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from workspace import dvc, dvc_cache, git

MIN_FREE = 64 * 2**20  # bytes that must stay free for the files of DVC and git themselves
LOCK_TIMEOUT = 60.0  # seconds to wait for another DVC process
BUSY = ("unable to acquire lock", "is busy")


def git_files(project: Project) -> list[Path]:
    """The files of a snapshot that are in git."""
    return [project.feedback_pointer, project.manifest, project.data / ".gitignore"]


def take(project: Project, message: str, log: Callable[[str], None]) -> bool:
    """Add data/feedback to DVC, then commit its pointer and manifest; returns whether there is a commit.

    If that fails, nothing is lost: the folder is unchanged, and the next fold takes the snapshot.
    """
    if project.feedback.is_dir():
        if reason := git.ignored(project, [project.feedback_pointer], tracked=True):  # DVC would refuse, or overlook it
            raise InputError(f"DVC cannot keep {project.relative(project.feedback)}: {reason}; then fold again")
        check_room(project)
        with restore_on_failure(project.feedback_pointer):
            add(project)
            dvc.check_added(project, project.feedback)
    return git.commit(project, git_files(project), message, log)


def up_to_date(project: Project) -> bool:
    """Whether `take` would change nothing, found out without DVC, which takes a second to start."""
    files = [path for path in git_files(project) if path.exists()]
    recorded = recorded_size(project.feedback_pointer) or (0, 0)
    return recorded == size(project.feedback) and not git.has_changes(project, files)


def recorded_size(pointer: Path) -> tuple[int, int] | None:
    """(files, bytes) of the folder as DVC has it; None where DVC lacks it."""
    try:
        (out,) = YAML(typ="safe", pure=True).load(pointer)["outs"]
        return int(out["nfiles"]), int(out["size"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def size(folder: Path) -> tuple[int, int]:
    """(files, bytes) of the folder as it is."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def check_room(project: Project) -> None:
    """Raises GenloopError where the disk is too full: DVC would say that it has added the files."""
    place = dvc_cache.folder(project)
    before = project.feedback_pointer.stat().st_mtime if project.feedback_pointer.exists() else 0.0
    stats = (path.stat() for path in project.feedback.rglob("*") if path.is_file())
    needed = sum(stat.st_size for stat in stats if stat.st_mtime >= before) + MIN_FREE
    while not place.exists():
        place = place.parent
    if (free := shutil.disk_usage(place).free) < needed:
        folder = project.relative(project.feedback)
        raise GenloopError(
            f"{place}: {free // 2**20:,} MB are free, and DVC needs {needed // 2**20:,} MB to keep {folder}; "
            "make room (`genloop gc` frees what nothing needs) and fold again"
        )


@contextmanager
def restore_on_failure(path: Path) -> Iterator[None]:
    """Put `path` back as it was if the block fails: DVC writes the pointer even where it could not store the files."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True) if before is None else files.write(path, before)
        raise


def add(project: Project) -> None:
    folder = project.relative(project.feedback)
    deadline = time.monotonic() + LOCK_TIMEOUT
    while (fault := dvc.run_command(project, "add", "--quiet", str(folder))) is not None:
        if not any(busy in fault.lower() for busy in BUSY):
            raise GenloopError(f"dvc add {folder}: {fault}")
        if time.monotonic() > deadline:
            raise GenloopError(
                f"dvc add {folder}: another DVC process has held this project for {LOCK_TIMEOUT:.0f} seconds; "
                "the folded events are safe; fold again when that process has ended"
            )
        time.sleep(1)
