"""Conflict markers are named with their files, before anything reads them, and with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from tests.conftest import REPOSITORY
from tests.support.kept_project import git
from workspace import conflicts, dvc
from workspace.git import MERGE_DRIVER

MARKED = "<<<<<<< HEAD\nschema: 1\n=======\nschema: 2\n>>>>>>> theirs\n"
FILES = ["params.yaml", "dvc.yaml", "noise/dvc.yaml", "dvc.lock", "noise/dvc.lock", "data/feedback.json", "data/noise.json"]


def write(project: Project, name: str, text: str) -> Path:
    path = project.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def commit(project: Project, name: str, text: str) -> None:
    write(project, name, text)
    git(project.root, "add", "--force", name)
    git(project.root, "commit", "-q", "-m", f"Write {name}")


def in_conflict(project: Project, *names: str, attributes: bool = True) -> None:
    """A merge in which both sides have changed these files, in a clone that does not know our merge driver."""
    if attributes:
        shutil.copy(REPOSITORY / ".gitattributes", project.root)
    for name in names:
        commit(project, name, "schema: 0\n")
    git(project.root, "checkout", "-q", "-b", "theirs")
    for name in names:
        commit(project, name, "schema: 2\n")
    git(project.root, "checkout", "-q", "main")
    for name in names:
        commit(project, name, "schema: 1\n")
    with pytest.raises(AssertionError):
        git(project.root, "merge", "-q", "theirs")


@pytest.mark.parametrize("name", [*FILES, "data/feedback.dvc", "own.dvc"])
def test_whatever_file_has_them_is_named(kept: Project, name: str) -> None:
    assert conflicts.describe(kept) is None
    write(kept, name, MARKED)
    assert (conflicts.describe(kept) or "").startswith(f"{name}: conflict markers of a merge; ")
    with pytest.raises(InputError, match=f"^{name}: conflict markers"):
        dvc.status(kept)


@pytest.mark.parametrize("text", ["a: <<<<<<< HEAD\n", "# <<<<<<< once\n", "<<<<<<<\n", ""])
def test_what_only_looks_like_a_marker_is_none(kept: Project, text: str) -> None:
    write(kept, "noise/dvc.yaml", text)
    assert conflicts.describe(kept) is None


def test_each_kind_of_file_has_its_own_way_out(kept: Project) -> None:
    in_conflict(kept, "params.yaml", "dvc.lock")
    assert conflicts.describe(kept) == (
        "params.yaml, dvc.lock: conflict markers of a merge; "
        "Genloop merges by what they say: git checkout --merge dvc.lock && git add dvc.lock; "
        "choose what params.yaml shall say, from line 1 on, then git add params.yaml; then git commit"
    )
    assert "workspace.merge_driver" in git(kept.root, "config", MERGE_DRIVER)  # which the way out needs


def test_a_project_without_the_attributes_is_told_which_one_it_needs(kept: Project) -> None:
    in_conflict(kept, "dvc.lock", attributes=False)
    assert "`dvc.lock merge=genloop` must be a line of .gitattributes; Genloop merges" in (conflicts.describe(kept) or "")


def test_in_another_operation_its_own_end_is_named(kept: Project) -> None:
    in_conflict(kept, "params.yaml")
    git(kept.root, "merge", "--abort")
    with pytest.raises(AssertionError):
        git(kept.root, "cherry-pick", "theirs")
    assert (conflicts.describe(kept) or "").endswith("then git add params.yaml; then git cherry-pick --continue")


def test_what_a_stash_has_left_needs_no_commit(kept: Project) -> None:
    commit(kept, "dvc.lock", "schema: 0\n")
    write(kept, "dvc.lock", "schema: 1\n")
    git(kept.root, "stash")
    commit(kept, "dvc.lock", "schema: 2\n")
    with pytest.raises(AssertionError):
        git(kept.root, "stash", "pop")
    assert (conflicts.describe(kept) or "").endswith("git checkout --merge dvc.lock && git add dvc.lock")


def test_where_git_cannot_help_the_file_is_to_be_edited(project: Project) -> None:
    for name in FILES:
        write(project, name, "")
    write(project, "dvc.lock", MARKED)
    alone = project.with_variables({"GIT_CEILING_DIRECTORIES": str(project.root.parent)})
    assert conflicts.describe(alone) == "dvc.lock: conflict markers of a merge; edit dvc.lock"


@pytest.mark.parametrize("name", ["params.yaml", "dvc.lock", "data/feedback.json"])
@pytest.mark.parametrize("command", ["status", "run", "why 12345678", "influence ann", "rebuild 1"])
def test_commands_say_so_in_one_line(kept: Project, name: str, command: str) -> None:
    write(kept, name, MARKED)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    arguments = [sys.executable, "-m", "genloop", *command.split(), "--project", str(kept.root)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert [line.partition(" of a merge")[0] for line in done.stderr.splitlines()] == [f"genloop: {name}: conflict markers"]
