"""What in a copied or moved project leads to the folder that it came from: the programs in .venv, the code, git's worktree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.core import project as core
from pipelines.core.project import Project
from tests.conftest import REPOSITORY, project_in
from workspace import copies


@pytest.fixture
def cloned(tmp_path: Path) -> Project:
    """A project with code of its own and no environment."""
    folder = tmp_path / "Q"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines/__init__.py").touch()
    return project_in(folder)


def install(project: Project, made_for: Path, long: bool = False) -> None:
    """The program that pip writes into an environment that was made in a folder."""
    program = project.root / ".venv/bin/genloop"
    program.parent.mkdir(parents=True)
    python = made_for / ".venv/bin/python3"
    start = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n" if long else f"#!{python}\n"
    program.write_text(f"{start}import sys\nfrom genloop import main\n")


def test_nothing_is_said_of_a_project_in_its_place() -> None:
    assert list(copies.warnings(project_in(REPOSITORY))) == []


def test_nothing_is_said_of_a_folder_without_code(tmp_path: Path) -> None:
    assert copies.faults(project_in(tmp_path)) == []


@pytest.mark.parametrize("long", [False, True])
def test_a_copied_environment_runs_the_originals_code(cloned: Project, long: bool) -> None:
    install(cloned, REPOSITORY, long)
    words = (
        f"the code that runs is that of {REPOSITORY}, not this project's, because .venv was copied; "
        "`rm -rf .venv && make env` makes one for this project"
    )
    assert list(copies.warnings(cloned)) == copies.faults(cloned) == [words]


def test_a_project_without_an_environment_is_told_how_to_have_one(cloned: Project) -> None:
    (warning,) = copies.warnings(cloned)
    assert warning.endswith("not this project's; `make env` makes an environment for this project")


@pytest.mark.parametrize("long", [False, True])
def test_another_projects_program_can_be_named(cloned: Project, long: bool) -> None:
    install(cloned, cloned.root, long)
    (warning,) = copies.warnings(cloned)
    assert warning.endswith("not this project's; .venv/bin/genloop runs this project's")


@pytest.mark.parametrize("name", ["gone", "a b"])
def test_a_moved_environment_is_found_whatever_code_runs(cloned: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(core, "CODE", cloned.root)
    install(cloned, cloned.root.parent / name, long=" " in name)
    assert list(copies.warnings(cloned)) == []
    assert copies.faults(cloned) == [
        f".venv was made for another folder, {cloned.root.parent / name}; `rm -rf .venv && make env` makes one for this project"
    ]


def test_an_environment_by_another_path_is_the_same(cloned: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "CODE", cloned.root)
    link = cloned.root.parent / "link"
    link.symlink_to(cloned.root)
    install(cloned, link)
    assert copies.faults(cloned) == []


def test_make_makes_a_moved_environment_anew(cloned: Project) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (cloned.root / name).write_bytes((REPOSITORY / name).read_bytes())

    def make() -> str:
        command = ["make", "--dry-run", "env"]
        return subprocess.run(command, cwd=cloned.root, capture_output=True, text=True, check=True).stdout

    assert "rm -rf" not in make()  # there is none yet
    install(cloned, REPOSITORY)
    (cloned.root / ".venv/complete").touch()
    assert "rm -rf .venv\n" in make()
    (cloned.root / ".venv/bin/genloop").unlink()
    (cloned.root / ".venv/bin").rmdir()
    install_here = cloned.root / ".venv/bin"
    install_here.mkdir()
    (install_here / "genloop").write_text(f"#!{install_here}/python3\n")
    (cloned.root / ".venv/complete").touch()
    assert "Nothing to be done" in make()


def test_a_copied_worktree_would_move_the_originals_branch(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=Ann", "-c", "user.email=a@example.org", *arguments], cwd=tmp_path, check=True)

    git("init", "-q", "main")
    git("-C", "main", "commit", "-q", "--allow-empty", "-m", "Begin")
    git("-C", "main", "worktree", "add", "-q", "../tree")
    assert copies.faults(project_in(tmp_path / "main")) == copies.faults(project_in(tmp_path / "tree")) == []
    subprocess.run(["cp", "-a", "tree", "copy"], cwd=tmp_path, check=True)
    (warning,) = copies.warnings(project_in(tmp_path / "copy"))
    assert warning.startswith(f".git is that of the worktree {tmp_path}/tree, so commits here would move the branch there")
    (tmp_path / "tree").rename(tmp_path / "gone")
    assert copies.faults(project_in(tmp_path / "copy")) == []  # moved, and git repairs it
