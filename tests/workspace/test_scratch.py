"""The copy that a simulation works in: what was fresh is fresh there, and nothing gets back from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import paths
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from tests.conftest import REPOSITORY
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
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two stages that have run, people's feedback, and work that is not committed."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    update_params([], ["sources=[{type: npz, path: there/images.npz}]"], folder / "params.yaml")
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
    return folder


@pytest.fixture
def copied(original: Path) -> Path:
    """In a folder within the project, as by default."""
    out = original / "simulation"
    number = len(list(out.glob("*"))) if out.is_dir() else 0
    scratch.copy(original, out / str(number), apart=out)
    return out / str(number)


def test_what_was_fresh_is_fresh(original: Path, copied: Path) -> None:
    for folder in (original, copied):
        with scratch.inside(folder, {}):
            assert dvc.status() == {"ingest": "fresh", "report": "fresh"}


def test_the_project_is_copied_as_it_is_now_and_no_more(original: Path, copied: Path) -> None:
    assert (copied / "code.txt").read_text() == "changed since"
    assert (copied / "new.txt").read_text() == "not added"
    assert not (copied / "junk").exists()
    assert not (copied / "simulation").exists()
    assert call(copied, "git", "status", "--porcelain") == ""
    assert call(copied, "git", "rev-list", "--count", "HEAD").strip() == "1"


def test_feedback_stays_behind_and_reports_of_it_do_not(copied: Path) -> None:
    assert sorted(path.name for path in (copied / "data").iterdir()) == ["feedback.json", "raw", "reports"]
    assert manifest.read(copied / paths.MANIFEST) == manifest.Manifest()
    assert (copied / "data/reports/feedback.json").is_file()


def test_the_cache_of_the_copy_shares_bytes_and_nothing_else(original: Path, copied: Path) -> None:
    ours, theirs = (sorted((folder / ".dvc/cache/files/md5").rglob("*")) for folder in (copied, original))
    assert [path.name for path in ours] == [path.name for path in theirs]
    for path in ours:
        if path.is_file():
            path.unlink()
    (copied / "code.txt").write_text("changed in the copy")
    call(copied, "dvc", "repro", "--quiet")
    call(copied, "dvc", "gc", "--workspace", "--force")
    assert sorted((original / ".dvc/cache/files/md5").rglob("*")) == theirs
    with scratch.inside(original, {}):
        assert dvc.status() == {"ingest": "fresh", "report": "fresh"}


def test_a_file_system_without_hard_links_gets_copies(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", refuse)
    scratch.copy(original, tmp_path / "project", apart=tmp_path)
    with scratch.inside(tmp_path / "project", {}):
        assert dvc.status() == {"ingest": "fresh", "report": "fresh"}


def test_relative_sources_are_found_from_there(original: Path, copied: Path) -> None:
    assert load_params(copied / "params.yaml").sources[0].path == str(original / "there/images.npz")  # type: ignore[attr-defined]
    assert load_params(original / "params.yaml").sources[0].path == "there/images.npz"  # type: ignore[attr-defined]


def test_a_project_without_git_is_copied_by_name(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    for name in (".git/HEAD", ".venv/bin/python", "mlflow.db", "logs/run.lock", ".dvc/config", ".dvc/config.local",
                 ".dvc/cache/files/md5/00/1", "data/raw/1", "pipelines/train.py", "out/turns.csv"):  # fmt: skip
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    monkeypatch.chdir(project)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert [str(path) for path in scratch.listed(project / "out")] == [".dvc/config", "pipelines/train.py"]


def test_the_environment_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///theirs.db")
    here = Path.cwd()
    with pytest.raises(RuntimeError), scratch.inside(tmp_path, scratch.variables(tmp_path)):
        assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
        assert os.environ["GENLOOP_DATABASE_URL"] == f"sqlite:///{tmp_path}/data/feedback.db"
        os.environ["ANOTHER"] = "left by a library"
        raise RuntimeError
    assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///theirs.db"
    assert "ANOTHER" not in os.environ
    assert Path.cwd() == here
