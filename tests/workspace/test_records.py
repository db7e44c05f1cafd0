"""Records that name objects of DVC's cache, in commits of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.support.kept_project import git
from workspace import records

FIRST, SIDE, LAST, CHANGED = ("1" * 32, "2" * 32 + ".dir", "3" * 32, "4" * 32)
LOCK = f"""
schema: '2.0'
stages:
  clean:
    cmd: python clean.py
    deps: [{{path: clean.py, hash: md5, md5: {LAST}}}]
    outs: [{{path: data/clean, hash: md5, md5: '{FIRST}'}}]
  notify: {{cmd: echo}}
"""


def test_hashes_of_files_and_folders_are_found_whatever_a_record_looks_like() -> None:
    text = f"<<<<<<< ours\n  md5: {FIRST}\n=======\n- md5: '{SIDE}'\n>>>>>>> theirs\n commit: {'a' * 40}\n sha256: {'b' * 64}"
    assert records.hashes(text) == {FIRST, SIDE}


def test_what_outputs_depend_on_is_no_object_of_a_version(tmp_path: Path) -> None:
    files.write(tmp_path / "dvc.lock", LOCK)
    files.write(tmp_path / "data/more.dvc", f"outs:\n- md5: {SIDE}\n  path: more\n")
    assert records.in_folder(tmp_path) == {FIRST, SIDE}
    files.write(tmp_path / "dvc.lock", f"<<<<<<< ours\n{LOCK}")
    assert records.in_folder(tmp_path) == {FIRST, SIDE, LAST}


@pytest.fixture
def project(kept: Project) -> Project:
    """Commits of FIRST, of SIDE on a branch that a merge did not take, and of LAST; CHANGED is in the workspace alone."""

    def commit(name: str, digest: str) -> None:
        files.write(kept.root / name, f"md5: {digest}\n")
        git(kept.root, "add", "-A", "-f")
        git(kept.root, "commit", "-qm", digest)

    commit("dvc.lock", FIRST)
    git(kept.root, "checkout", "-qb", "side")
    commit("data/more.dvc", SIDE)
    git(kept.root, "checkout", "-q", "main")
    commit("dvc.lock", LAST)
    git(kept.root, "merge", "-q", "-s", "ours", "side", "-m", "Take nothing")
    git(kept.root, "branch", "-q", "-D", "side")
    files.write(kept.root / "noise/dvc.lock", f"md5: {CHANGED}\n")
    return kept


def test_the_past_counts_when_it_is_asked_for(project: Project) -> None:
    assert records.in_commits(project, [], past=False) == {LAST}
    assert records.in_commits(project, [], past=True) == {FIRST, SIDE, LAST}
    assert records.in_workspace(project) == {LAST, CHANGED}


def test_a_commit_counts_wherever_it_lies_and_one_that_is_missing_does_not(project: Project) -> None:
    git(project.root, "checkout", "-q", "--detach")
    files.write(project.root / "dvc.lock", f"md5: {CHANGED}\n")
    git(project.root, "commit", "-qam", "Lost")
    lost = git(project.root, "rev-parse", "HEAD").strip()
    git(project.root, "checkout", "-q", "main")
    assert records.in_commits(project, [], past=True) == {FIRST, SIDE, LAST}
    assert records.in_commits(project, [lost, "f" * 40], past=False) == {LAST, CHANGED}


def test_a_project_in_a_folder_of_a_repository_counts_by_its_own_files(kept: Project) -> None:
    for folder, digest in (("a", FIRST), ("b", LAST)):
        files.write(kept.root / folder / "dvc.lock", f"md5: {digest}\n")
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-qm", "Two projects")
    inner = Project(kept.root / "a", kept.environment)
    assert records.in_commits(inner, [], past=True) == records.in_workspace(inner) == {FIRST}


def test_outside_of_git_there_are_no_commits(project: Project, tmp_path: Path) -> None:
    (project.root / ".git").rename(tmp_path / "git")
    alone = project.with_variables({"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert records.in_commits(alone, ["f" * 40], past=True) == set()
    assert records.in_workspace(alone) == {LAST, CHANGED}


def test_history_that_git_has_lost_is_said(project: Project) -> None:
    blob = git(project.root, "rev-parse", "HEAD~1:dvc.lock").strip()
    (project.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GenloopError, match=r"git has lost files of its history"):
        records.in_commits(project, [], past=True)
