"""A project under git and DVC, with a registry that is a few lines, for folds in processes of their own.

    python kept_project.py FOLDER [STEP]

folds once in the project FOLDER; with STEP the process kills itself at that step, as SIGKILL from outside would at that very
point. Steps are the calls by which something outlives the process: statements and commits of the database, writes, renames and
deletions, and programs that are run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from dvc.repo import Repo

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = 3


class LabelSampler:
    """Draws flat images whose grey is 10 times their label."""

    classes, conditional, generation, identity = list("abc"), True, 0, None

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        assert labels is not None
        return np.broadcast_to((10 * labels).astype(np.uint8)[:, None, None, None], (len(seeds), 4, 4, 1))


class SamplerRegistry:
    """As a fold asks it: every version is there and draws the same, and none has learned from any event."""

    name = "flat"

    def load(self, number: int | None = None) -> LabelSampler:
        return LabelSampler()

    def generation(self, number: int) -> int:
        return 0

    def identity(self, number: int) -> str | None:
        return f"flat-{number}"

    def training_batches(self) -> dict[int, Any]:
        return {}


def make(folder: Path, under_git: bool = True) -> None:
    """The settings, DVC, and git with one commit."""
    (folder / "data").mkdir(parents=True)
    for name in (".gitignore", "params.yaml"):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "data/feedback.json").write_text('{"files": {}, "forgotten": []}\n')
    (folder / "dvc.yaml").write_text("stages: {}\n")
    if under_git:
        git(folder, "init", "-q", "-b", "main")
        git(folder, "config", "user.name", "Ann")
        git(folder, "config", "user.email", "ann@example.org")
    Repo.init(str(folder), no_scm=not under_git).close()
    core = "analytics = false" if under_git else "analytics = false\n    no_scm = true"
    (folder / ".dvc/config").write_text(f"[core]\n    {core}\n")
    if under_git:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "Begin")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    return run(folder, "git", *arguments)


@contextmanager
def steps(last: int) -> Iterator[None]:
    """Count the steps; kill this process at the last one."""
    from sqlalchemy import Engine, event

    step = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal step
        step += 1
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            count()
            result = function(*arguments, **named)
            count()
            return result

        return call

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, count)
    os.fsync = counted(os.fsync)
    Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)  # type: ignore[method-assign]
    subprocess.Popen.__init__ = counted(subprocess.Popen.__init__)  # type: ignore[method-assign]
    subprocess.Popen.wait = counted(subprocess.Popen.wait)  # type: ignore[method-assign]
    yield
    print(f"{step} steps")


def main(folder: Path, step: int = 0) -> None:
    from operations import fold
    from pipelines.core.progress import say
    from pipelines.core.project import Project
    from pipelines.settings.load import load_params

    project = Project.find(folder)
    with steps(step):
        fold.fold(project, load_params(project.params_file), SamplerRegistry(), say)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
