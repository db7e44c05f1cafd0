"""What was folded is in DVC's cache, whole, before git says that it is."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.feedback.sealed import manifest, seal
from tests.support import kept_project
from tests.support.kept_project import git
from tests.support.votes import votes
from workspace import snapshot

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def sealed(kept: Path) -> Path:
    """A project with a sealed file that the manifest lists."""
    add("a", 3)
    return kept


def add(batch: str, count: int) -> None:
    paths.FEEDBACK.mkdir(parents=True, exist_ok=True)
    seal.write(paths.FEEDBACK, batch, votes(0, count))
    manifest.update()


def objects() -> list[Path]:
    """Files in DVC's cache that are no list of a folder."""
    return [path for path in Path(".dvc/cache/files").rglob("*") if path.is_file() and path.suffix != ".dir"]


def test_the_folder_is_kept_and_committed_alone_and_then_there_is_nothing_to_do(sealed: Path) -> None:
    Path("mine.txt").touch()
    git(sealed, "add", "mine.txt")
    assert not snapshot.kept()
    assert snapshot.keep("Fold 3 events\n\nBy 3 raters.\n")
    assert snapshot.kept()
    assert len(objects()) == 1
    assert git(sealed, "show", "--name-only", "--format=%s %an").split("\n")[:4] == [
        "Fold 3 events Ann",
        "",
        "data/feedback.dvc",
        "data/feedback.json",
    ]
    assert git(sealed, "status", "--short") == "A  mine.txt\n"
    assert snapshot.committed() == manifest.read()
    add("b", 2)
    assert not snapshot.kept()
    assert snapshot.keep("Fold 2 events\n")
    assert len(objects()) == 2
    shutil.rmtree(paths.FEEDBACK)
    with Repo() as repo:  # it sees the folder, so `dvc push` would not leave it out
        repo.checkout()
    assert manifest.check().batches == ["a", "b"]


def test_what_dvc_could_not_keep_is_said_and_not_committed(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = snapshot.add

    def on_a_full_disk() -> None:
        add()
        for path in objects():
            path.unlink()

    with monkeypatch.context() as full:
        full.setattr(snapshot, "add", on_a_full_disk)
        with pytest.raises(GenloopError, match="DVC's cache lacks 1 of its output files, the first is data/feedback/events-a"):
            snapshot.keep("Fold")
    assert not snapshot.POINTER.exists()  # else it would look as if it were kept
    assert not snapshot.kept()
    assert git(sealed, "rev-list", "--count", "HEAD") == "1\n"
    assert snapshot.keep("Fold")
    assert snapshot.kept()


def test_a_full_disk_is_seen_before_anything_is_done(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    monkeypatch.setattr(snapshot, "add", lambda: pytest.fail("no room for it"))
    with pytest.raises(GenloopError, match=r"1 MB are free, and DVC needs 64 MB to keep data/feedback; make room"):
        snapshot.keep("Fold")


def test_a_gitignore_that_hides_the_folder_from_dvc_is_said(sealed: Path) -> None:
    ignored = Path(".gitignore")
    ignored.write_text(ignored.read_text().replace("/data/?*", "/data/*"))
    with pytest.raises(GenloopError, match=r"DVC passes over data/feedback\.dvc.* write `/data/\?\*` instead"):
        snapshot.keep("Fold")


def test_another_dvc_is_waited_for_and_then_said(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["ERROR: Unable to acquire lock", "'data/feedback' is busy, it is being blocked by", None]
    monkeypatch.setattr(snapshot, "run", lambda *_: answers.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    snapshot.add()
    assert answers == []
    monkeypatch.setattr(snapshot, "PATIENCE", 0)
    answers += ["Unable to acquire lock"] * 2
    with pytest.raises(GenloopError, match="another DVC process has held this project for 0 seconds"):
        snapshot.add()
    answers[:] = ["unexpected error"]
    with pytest.raises(GenloopError, match="dvc add data/feedback: unexpected error"):
        snapshot.add()


def test_without_git_it_is_kept_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_project.make(tmp_path / "project", under_git=False)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    add("a", 3)
    said: list[str] = []
    assert not snapshot.kept()
    assert not snapshot.keep("Fold", said.append)
    assert said == ["nothing is committed: git is not installed"]
    assert len(objects()) == 1
    assert snapshot.kept()


def test_a_project_without_feedback_has_nothing_to_keep(kept: Path) -> None:
    assert snapshot.kept()
