"""The copy that a simulation works in: what was fresh is fresh there, and nothing gets back from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.project import Project
from tests.conftest import project_in
from workspace import dvc, scratch

GRAPH = """
stages:
  ingest:
    cmd: mkdir -p data/raw && echo one > data/raw/one && echo two > data/raw/two
    deps: [code.txt]
    outs: [data/raw]
  report:
    cmd: mkdir -p data/reports && echo '{}' > data/reports/feedback.json
    deps: [data/raw]
    metrics: [data/reports/feedback.json]
"""
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")


def call(folder: Path, *command: str) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two stages that have run, people's feedback, and work that is not committed."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "params.yaml").touch()
    (folder / ".gitignore").write_text("/data/*\n!/data/feedback.json\n/logs/\n/junk/\n")
    (folder / "code.txt").write_text("committed")
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", *AUTHOR, "commit", "--quiet", "--message", "one")
    (folder / "code.txt").write_text("changed since")
    (folder / "new.txt").write_text("not added")
    for ignored in (
        "junk/large",
        "data/feedback/events-a.parquet",
        "data/uploads/x",
        "data/feedback.db",
        "data/feedback.db-wal",
    ):
        (folder / ignored).parent.mkdir(parents=True, exist_ok=True)
        (folder / ignored).write_text("theirs")
    (folder / "data/feedback.json").write_text('{"files": {}, "forgotten": ["0123"]}\n')
    call(folder, "dvc", "repro", "--quiet")
    return project_in(folder)


@pytest.fixture
def copied(original: Project, elsewhere: Path) -> Project:
    """In a folder within the project, as by default."""
    out = original.root / "simulation"
    number = len(list(out.glob("*"))) if out.is_dir() else 0
    copied = scratch.copy(original, out / str(number), excluded=out)
    scratch.commit(copied)
    return copied


@pytest.mark.slow
def test_what_was_fresh_is_fresh(original: Project, copied: Project) -> None:
    for project in (original, copied):
        assert dvc.status(project) == {"ingest": "fresh", "report": "fresh"}


def test_the_project_is_copied_as_it_is_now_and_no_more(original: Project, copied: Project) -> None:
    assert (copied.root / "code.txt").read_text() == "changed since"
    assert (copied.root / "new.txt").read_text() == "not added"
    assert not (copied.root / "junk").exists()
    assert not (copied.root / "simulation").exists()
    assert call(copied.root, "git", "status", "--porcelain") == ""
    assert call(copied.root, "git", "rev-list", "--count", "HEAD").strip() == "1"


def test_feedback_stays_behind_and_reports_of_it_do_not(copied: Project) -> None:
    assert sorted(path.name for path in (copied.root / "data").iterdir()) == ["raw", "reports"]
    assert (copied.root / "data/reports/feedback.json").is_file()


def test_the_cache_of_the_copy_shares_bytes_and_nothing_else(original: Project, copied: Project) -> None:
    ours, theirs = (sorted((project.root / ".dvc/cache/files/md5").rglob("*")) for project in (copied, original))
    assert [path.name for path in ours] == [path.name for path in theirs]
    for path in ours:
        if path.is_file():
            path.unlink()
    (copied.root / "code.txt").write_text("changed in the copy")
    call(copied.root, "dvc", "repro", "--quiet")
    call(copied.root, "dvc", "gc", "--workspace", "--force")
    assert sorted((original.root / ".dvc/cache/files/md5").rglob("*")) == theirs
    assert dvc.status(original) == {"ingest": "fresh", "report": "fresh"}


def test_a_file_system_without_hard_links_gets_copies(
    original: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", refuse)
    copied = scratch.copy(original, tmp_path / "project", excluded=tmp_path)
    scratch.commit(copied)
    assert dvc.status(copied) == {"ingest": "fresh", "report": "fresh"}


def test_a_project_without_git_is_copied_by_name(project: Project) -> None:
    for name in (".git/HEAD", ".venv/bin/python", "mlflow.db", "logs/run.lock", ".dvc/config", ".dvc/config.local",
                 ".dvc/cache/files/md5/00/1", "data/raw/1", "pipelines/train.py", "out/turns.csv"):  # fmt: skip
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text("")
    alone = project.with_variables({"GIT_CEILING_DIRECTORIES": str(project.root.parent)})
    listed = scratch.project_files(alone, project.root / "out")
    assert [str(project.relative(path)) for path in listed] == [".dvc/config", "pipelines/train.py"]


def test_the_copy_has_a_registry_and_a_database_of_its_own(original: Project, copied: Project, tmp_path: Path) -> None:
    configured = original.with_variables(
        {"MLFLOW_TRACKING_URI": "sqlite:///theirs.db", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
    )
    again = scratch.copy(configured, tmp_path / "project", excluded=tmp_path)
    for project in (copied, again):
        assert project.tracking_uri == f"sqlite:///{project.root}/mlflow.db"
        assert project.database_url == f"sqlite:///{project.root}/data/feedback.db"
    assert copied.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert again.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"  # as the user has it
