"""What was folded is in DVC's cache, whole, before git says that it is."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest, seal
from tests.support import kept_project
from tests.support.kept_project import git
from tests.support.votes import votes
from workspace import dvc, snapshot

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def sealed(kept: Project) -> Project:
    """A project with a sealed file that the manifest lists."""
    add(kept, "a", 3)
    return kept


def add(project: Project, batch: str, count: int) -> None:
    project.feedback.mkdir(parents=True, exist_ok=True)
    seal.write(project.feedback, batch, votes(0, count))
    manifest.update(project.feedback, project.manifest)


def objects(project: Project) -> list[Path]:
    """Files in DVC's cache that are no list of a folder."""
    return [path for path in (project.root / ".dvc/cache/files").rglob("*") if path.is_file() and path.suffix != ".dir"]


def test_the_folder_is_kept_and_committed_alone_and_then_there_is_nothing_to_do(sealed: Project) -> None:
    (sealed.root / "mine.txt").touch()
    git(sealed.root, "add", "mine.txt")
    assert not snapshot.up_to_date(sealed)
    assert snapshot.take(sealed, "Fold 3 events\n\nBy 3 raters.\n", say)
    assert snapshot.up_to_date(sealed)
    assert len(objects(sealed)) == 1
    assert git(sealed.root, "show", "--name-only", "--format=%s %an").split("\n")[:4] == [
        "Fold 3 events Ann",
        "",
        "data/feedback.dvc",
        "data/feedback.json",
    ]
    assert git(sealed.root, "status", "--short") == "A  mine.txt\n"
    assert manifest.parse(snapshot.git.show(sealed, sealed.manifest) or "") == manifest.read(sealed.manifest)
    add(sealed, "b", 2)
    assert not snapshot.up_to_date(sealed)
    assert snapshot.take(sealed, "Fold 2 events\n", say)
    assert len(objects(sealed)) == 2
    shutil.rmtree(sealed.feedback)
    with Repo(str(sealed.root)) as repo:  # it sees the folder, so `dvc push` would not leave it out
        repo.checkout()
    assert manifest.check(sealed.feedback, sealed.manifest).batches == ["a", "b"]


def test_what_dvc_could_not_keep_is_said_and_not_committed(sealed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    add = snapshot.add

    def on_a_full_disk(project: Project) -> None:
        add(project)
        for path in objects(sealed):
            path.unlink()

    with monkeypatch.context() as full:
        full.setattr(snapshot, "add", on_a_full_disk)
        with pytest.raises(GenloopError, match="DVC's cache lacks 1 of its output files, the first is data/feedback/events-a"):
            snapshot.take(sealed, "Fold", say)
    assert not sealed.feedback_pointer.exists()  # else it would look as if it were kept
    assert not snapshot.up_to_date(sealed)
    assert git(sealed.root, "rev-list", "--count", "HEAD") == "1\n"
    assert snapshot.take(sealed, "Fold", say)
    assert snapshot.up_to_date(sealed)


def test_a_full_disk_is_seen_before_anything_is_done(sealed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    monkeypatch.setattr(snapshot, "add", lambda _: pytest.fail("no room for it"))
    with pytest.raises(GenloopError, match=r"1 MB are free, and DVC needs 64 MB to keep data/feedback; make room"):
        snapshot.take(sealed, "Fold", say)


def test_a_gitignore_that_hides_the_folder_from_dvc_is_said(sealed: Project) -> None:
    ignored = sealed.root / ".gitignore"
    ignored.write_text(ignored.read_text().replace("/data/?*", "/data/*"))
    with pytest.raises(GenloopError, match=r"DVC overlooks data/feedback\.dvc.* write `/data/\?\*` instead"):
        snapshot.take(sealed, "Fold", say)


@pytest.mark.parametrize("line", ["*.dvc", "feedback.*", "/data/feedback.dvc"])
def test_a_pointer_that_git_ignores_is_said_with_the_line_that_does_it(sealed: Project, line: str) -> None:
    ignored = sealed.root / ".gitignore"
    before = ignored.read_text()
    ignored.write_text(f"{before}{line}\n")
    with pytest.raises(InputError) as raised:
        snapshot.take(sealed, "Fold", say)
    assert str(raised.value) == (
        f"DVC cannot keep data/feedback: git ignores data/feedback.dvc, because .gitignore has the line `{line}`; "
        "add to .gitignore: `!/data/feedback.dvc`; then fold again"
    )
    ignored.write_text(f"{before}{line}\n!/data/feedback.dvc\n!/data/feedback.json\n")
    assert snapshot.take(sealed, "Fold", say)


def test_another_dvc_is_waited_for_and_then_said(sealed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["ERROR: Unable to acquire lock", "'data/feedback' is busy, it is being blocked by", None]
    monkeypatch.setattr(dvc, "run_command", lambda *_: answers.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    snapshot.add(sealed)
    assert answers == []
    monkeypatch.setattr(snapshot, "LOCK_TIMEOUT", 0)
    answers += ["Unable to acquire lock"] * 2
    with pytest.raises(GenloopError, match="another DVC process has held this project for 0 seconds"):
        snapshot.add(sealed)
    answers[:] = ["unexpected error"]
    with pytest.raises(GenloopError, match="dvc add data/feedback: unexpected error"):
        snapshot.add(sealed)


def test_without_git_it_is_kept_all_the_same(project: Project) -> None:
    kept_project.make(project.root / "project", under_git=False)
    alone = Project(project.root / "project", {**project.environment, "PATH": "/nowhere"})
    add(alone, "a", 3)
    said: list[str] = []
    assert not snapshot.up_to_date(alone)
    assert not snapshot.take(alone, "Fold", said.append)
    assert said == ["nothing is committed: git is not installed"]
    assert len(objects(alone)) == 1
    assert snapshot.up_to_date(alone)


def test_a_project_that_was_downloaded_without_its_git_is_kept_too(sealed: Project) -> None:
    shutil.rmtree(sealed.root / ".git")
    said: list[str] = []
    assert not snapshot.take(sealed, "Fold", said.append)
    assert said == ["nothing is committed: not a git repository; `git init`, `git add .` and `git commit` make it one"]
    assert len(objects(sealed)) == 1
    assert snapshot.recorded_size(sealed.feedback_pointer) == snapshot.size(sealed.feedback)
    git(sealed.root, "init", "-q")  # and once it is in git, the next fold commits
    git(sealed.root, "add", "params.yaml")
    assert snapshot.take(sealed, "Fold", said.append)


def test_a_project_without_feedback_has_nothing_to_keep(kept: Project) -> None:
    assert snapshot.up_to_date(kept)
