"""Commits are pushed only when all the data that they name is where others can pull it from."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from operations import versioning
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params
from tests.support.kept_project import git, run


@pytest.fixture
def remote(kept: Project) -> Path:
    """Where the project pushes to: data into `data`, commits into `git`. A commit with a file of DVC's waits."""
    remote = kept.root.parent / "remote"
    run(kept.root, "git", "init", "-q", "--bare", str(remote / "git"))
    git(kept.root, "remote", "add", "origin", str(remote / "git"))
    git(kept.root, "push", "-q", "--set-upstream", "origin", "main")
    (kept.root / ".dvc/config").write_text(
        f"[core]\n    analytics = false\n    remote = far\n['remote \"far\"']\n    url = {remote / 'data'}\n"
    )
    (kept.root / "pictures").mkdir()
    for name in "ab":
        (kept.root / "pictures" / name).write_text(name)
    with Repo(str(kept.root)) as repo:
        repo.add(str(kept.root / "pictures"))
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-q", "-m", "Pictures")
    return remote


@pytest.fixture
def said() -> list[str]:
    return []


def wanted(project: Project) -> Params:
    return update_params(project.params_file, settings=["versioning.push=true"])


def test_nothing_is_pushed_unless_asked_for(kept: Project, remote: Path, said: list[str]) -> None:
    versioning.push(kept, load_params(kept.params_file), said.append)
    assert not (remote / "data").exists()
    assert git(remote / "git", "rev-list", "--count", "main") == "1\n"


def test_data_goes_first_and_then_the_commits(kept: Project, remote: Path, said: list[str]) -> None:
    versioning.push(kept, wanted(kept), said.append)
    assert len([path for path in (remote / "data").rglob("*") if path.is_file()]) == 3
    assert git(remote / "git", "rev-list", "--count", "main") == "2\n"
    assert said == ["pushed: the data to DVC's remote, then the commits"]
    versioning.push(kept, wanted(kept), said.append)
    assert len(said) == 1  # there is nothing more to push


def test_what_the_cache_has_lost_keeps_the_commits_here(kept: Project, remote: Path, said: list[str]) -> None:
    (lost,) = (path for path in (kept.root / ".dvc/cache/files").rglob("*") if path.is_file() and path.read_text() == "a")
    lost.unlink()
    (kept.root / "pictures/a").unlink()
    with pytest.raises(GenloopError, match=r"2 of 3 files are not in the remote.* the first is of pictures; .*next run pushes"):
        versioning.push(kept, wanted(kept), said.append)
    assert git(remote / "git", "rev-list", "--count", "main") == "1\n"


def test_without_a_place_to_push_to_it_says_what_to_do(kept: Project, said: list[str]) -> None:
    with pytest.raises(GenloopError, match="DVC has no remote: `dvc remote add"):
        versioning.push(kept, wanted(kept), said.append)


def test_a_push_that_git_refuses_is_said(kept: Project, remote: Path, said: list[str]) -> None:
    git(kept.root, "branch", "--unset-upstream")
    with pytest.raises(GenloopError, match="git push: The current branch main has no upstream branch"):
        versioning.push(kept, wanted(kept), said.append)
