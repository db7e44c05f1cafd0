"""Commits are pushed only when all the data that they name is where others can pull it from."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from pipelines.core.errors import GenloopError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from tests.support.kept_project import git, run
from workspace import pushing


@pytest.fixture
def remote(kept: Path) -> Path:
    """Where the project pushes to: data into `data`, commits into `git`. A commit with a file of DVC's waits."""
    remote = kept.parent / "remote"
    run(kept, "git", "init", "-q", "--bare", str(remote / "git"))
    git(kept, "remote", "add", "origin", str(remote / "git"))
    git(kept, "push", "-q", "--set-upstream", "origin", "main")
    (kept / ".dvc/config").write_text(
        f"[core]\n    analytics = false\n    remote = far\n['remote \"far\"']\n    url = {remote / 'data'}\n"
    )
    (kept / "pictures").mkdir()
    for name in "ab":
        (kept / "pictures" / name).write_text(name)
    with Repo() as repo:
        repo.add("pictures")
    git(kept, "add", "-A")
    git(kept, "commit", "-q", "-m", "Pictures")
    return remote


@pytest.fixture
def said() -> list[str]:
    return []


def wanted() -> Params:
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("  push: false", "  push: true"))
    return load_params()


def test_nothing_is_pushed_unless_asked_for(remote: Path, said: list[str]) -> None:
    pushing.push(load_params(), said.append)
    assert not (remote / "data").exists()
    assert git(remote / "git", "rev-list", "--count", "main") == "1\n"


def test_data_goes_first_and_then_the_commits(remote: Path, said: list[str]) -> None:
    pushing.push(wanted(), said.append)
    assert len([path for path in (remote / "data").rglob("*") if path.is_file()]) == 3
    assert git(remote / "git", "rev-list", "--count", "main") == "2\n"
    assert said == ["pushed: the data to DVC's remote, then the commits"]
    assert not pushing.waiting(load_params())


def test_what_the_cache_has_lost_keeps_the_commits_here(kept: Path, remote: Path, said: list[str]) -> None:
    (lost,) = (path for path in (kept / ".dvc/cache/files").rglob("*") if path.is_file() and path.read_text() == "a")
    lost.unlink()
    (kept / "pictures/a").unlink()
    with pytest.raises(GenloopError, match=r"2 of 3 files are not in the remote.* the first is of pictures; .*next run pushes"):
        pushing.push(wanted(), said.append)
    assert git(remote / "git", "rev-list", "--count", "main") == "1\n"


def test_without_a_place_to_push_to_it_says_what_to_do(kept: Path, said: list[str]) -> None:
    with pytest.raises(GenloopError, match="DVC has no remote: `dvc remote add"):
        pushing.push(wanted(), said.append)


def test_a_push_that_git_refuses_is_said(kept: Path, remote: Path, said: list[str]) -> None:
    git(kept, "branch", "--unset-upstream")
    with pytest.raises(GenloopError, match="git push: The current branch main has no upstream branch"):
        pushing.push(wanted(), said.append)
