"""One run at a time in a project, whoever starts it; and projects do not wait for each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from workspace import locks


def test_who_waits_goes_on_when_the_other_has_ended(project: Project) -> None:
    project.logs.mkdir()
    other = FileLock(project.logs / "run.lock")
    other.acquire()
    said: list[str] = []

    def told(words: str) -> None:
        said.append(words)
        other.release()

    with locks.run_lock(project, wait=told), locks.run_lock(project):
        assert said == ["another run is going on in this project; waiting for it to end"]
        with pytest.raises(TimeoutError):
            FileLock(project.logs / "run.lock", timeout=0).acquire()
    FileLock(project.logs / "run.lock", timeout=0).acquire().lock.release()


def test_who_does_not_wait_is_refused_and_another_project_is_not(project: Project, tmp_path: Path) -> None:
    project.logs.mkdir()
    with FileLock(project.logs / "run.lock"):
        with pytest.raises(GenloopError, match="another run is going on"), locks.run_lock(project):
            pass
        with locks.run_lock(Project(tmp_path / "other")), locks.fold_lock(Project(tmp_path / "other")):
            pass
