"""A repository as one file, and a repository made of it: the same refs, HEAD and commits, whatever kind of clone it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.support.kept_project import git
from workspace import bundle


def remade(project: Project, folder: Path, *commits: str, top: str = "") -> Project:
    """The repository by way of a bundle; the project in it."""
    state = bundle.read(project)
    assert state is not None
    assert state.prefix == top
    state = bundle.with_commits(project, state, commits)
    before = git(project.root, "for-each-ref")
    bundle.write(project, state, folder / "git.bundle")
    assert git(project.root, "for-each-ref") == before
    copy = Project(folder / "copy", project.environment)
    copy.root.mkdir()
    shallow = bundle.shallow_file(project)
    bundle.unpack(copy, folder / "git.bundle", state, shallow if shallow.is_file() else None)
    return Project(copy.root / state.prefix, project.environment)


def test_all_refs_come_back_and_settings_of_a_clone(kept: Project, tmp_path: Path) -> None:
    git(kept.root, "branch", "other")
    git(kept.root, "tag", "-a", "v1", "-m", "first")
    git(kept.root, "commit", "-q", "--allow-empty", "-m", "Next")
    git(kept.root, "remote", "add", "origin", "https://example.org/project.git")
    git(kept.root, "config", "core.hooksPath", "/hooks/of/this/machine")
    copy = remade(kept, tmp_path)
    assert git(copy.root, "for-each-ref") == git(kept.root, "for-each-ref")
    assert git(copy.root, "symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert git(copy.root, "status", "--porcelain") == ""
    assert git(copy.root, "remote", "get-url", "origin") == "https://example.org/project.git\n"
    assert git(copy.root, "config", "user.email") == "ann@example.org\n"
    assert "/hooks" not in git(copy.root, "config", "--list")
    git(copy.root, "fsck", "--strict")


def test_the_same_repository_gives_the_same_bytes(kept: Project, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        remade(kept, tmp_path / name)
    assert (tmp_path / "a/git.bundle").read_bytes() == (tmp_path / "b/git.bundle").read_bytes()


def test_a_commit_that_no_ref_leads_to_comes_back_where_it_was_named(kept: Project, tmp_path: Path) -> None:
    first = git(kept.root, "rev-parse", "HEAD").strip()
    git(kept.root, "commit", "-q", "--allow-empty", "-m", "Lost")
    lost = git(kept.root, "rev-parse", "HEAD").strip()
    git(kept.root, "reset", "-q", "--hard", first)
    copy = remade(kept, tmp_path, lost, first, "0" * 40)
    assert git(copy.root, "cat-file", "-t", lost) == "commit\n"
    assert git(copy.root, "for-each-ref", "--format=%(refname)", "refs/genloop").splitlines() == [
        f"refs/genloop/commits/{lost}"
    ]


def test_a_detached_head_stays_detached(kept: Project, tmp_path: Path) -> None:
    git(kept.root, "checkout", "-q", "--detach")
    git(kept.root, "commit", "-q", "--allow-empty", "-m", "On no branch")
    copy = remade(kept, tmp_path)
    assert git(copy.root, "rev-parse", "HEAD") == git(kept.root, "rev-parse", "HEAD")
    with pytest.raises(AssertionError, match="not a symbolic ref"):
        git(copy.root, "symbolic-ref", "HEAD")


def test_a_shallow_clone_stays_shallow(kept: Project, tmp_path: Path) -> None:
    git(kept.root, "commit", "-q", "--allow-empty", "-m", "Next")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{kept.root}", "shallow")
    copy = remade(Project(tmp_path / "shallow", kept.environment), tmp_path)
    assert git(copy.root, "rev-list", "--count", "HEAD") == "1\n"
    git(copy.root, "fsck", "--strict")


def test_a_worktree_and_a_project_in_a_larger_repository_are_the_whole_repository(kept: Project, tmp_path: Path) -> None:
    (kept.root / "models/faces").mkdir(parents=True)
    (kept.root / "models/faces/params.yaml").write_text("a: 1\n")
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-q", "-m", "A project in a folder")
    git(kept.root, "worktree", "add", "-q", "-b", "beside", str(tmp_path / "worktree"))
    copy = remade(Project(tmp_path / "worktree/models/faces", kept.environment), tmp_path, top="models/faces/")
    assert (copy.root / "params.yaml").read_text() == "a: 1\n"
    assert git(copy.root, "symbolic-ref", "HEAD") == "refs/heads/beside\n"


def test_without_git_or_a_commit_there_is_no_state(kept: Project, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    alone = Project(tmp_path / "alone", {**kept.environment, "GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert bundle.read(alone) is None
    git(alone.root, "init", "-q")
    assert bundle.read(alone) is None


def test_a_file_that_is_no_bundle_is_said(kept: Project, tmp_path: Path) -> None:
    state = bundle.read(kept)
    assert state is not None
    (tmp_path / "notes").write_text("these are notes")
    (tmp_path / "copy").mkdir()
    with pytest.raises(GenloopError, match="git fetch: "):
        bundle.unpack(Project(tmp_path / "copy", kept.environment), tmp_path / "notes", state, None)
